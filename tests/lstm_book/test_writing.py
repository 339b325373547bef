"""The contest of writing: what counts, what learns, what is looked for in the cells; its record."""

import itertools
import json
from collections import Counter, defaultdict

import numpy as np
import pytest
from lstm_book import novels
from lstm_book.experiments import (
    cells,
    counting,
    load_record,
    parallel,
    writer,
    writers,
    writing,
    written,
)
from lstm_book.experiments.record import FOLDER, Journal
from lstm_book.recipes import trials

from lstm import equations as eq
from lstm.datasets import DataError

RNG = np.random.default_rng(0)
SHORT = 'She said, "It is a truth,\nand no doubt."\n\n"A truth"\nhe said. ' * 40


@pytest.fixture
def short(monkeypatch):
    """Short texts in the place of the novels."""
    parts = {"train": SHORT * 3, **dict.fromkeys(writing.JUDGED, SHORT)}
    monkeypatch.setattr(writing, "texts", lambda: parts)
    return parts


# ------------------------------------------------------------------------------------------- novels
def test_the_novels_are_the_bundled_ones_and_broken_into_lines():
    found = novels.load_novels()
    sizes = {name: len(text) for name, text in found.items()}
    assert sizes == {"emma": 883_003, "persuasion": 100_109, "moby_dick": 100_884}
    for text in found.values():
        assert text.isascii()
        assert set(text) <= {"\n", *map(chr, range(32, 127))}
        assert max(map(len, text.split("\n"))) <= 74


def test_a_novel_that_is_not_the_original_is_refused(monkeypatch):
    monkeypatch.setitem(novels.NOVELS, "emma", "0" * 64)
    with pytest.raises(DataError, match="not the original"):
        novels.load_novels()


# ----------------------------------------------------------------------------------------- counting
def by_definition(text, context, character, symbols):
    """Interpolated Kneser-Ney as it is defined, from the longest context to none."""
    order = len(context) + 1
    discounts, levels = {}, {}
    for n in range(1, order + 1):
        grams = [text[i : i + n] for i in range(len(text) - n + 1)]
        if n == order:
            counts = Counter(grams)
        else:
            before = {text[i : i + n + 1] for i in range(len(text) - n)}
            counts = Counter(longer[1:] for longer in before)
        many = Counter(counts.values())
        n1, n2, n3, n4 = (max(many[k], 1) for k in (1, 2, 3, 4))
        share = n1 / (n1 + 2 * n2)
        some = 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3
        discounts[n] = [0, *(min(max(d, counting.LEAST), k) for k, d in enumerate(some, 1))]
        levels[n] = defaultdict(dict)
        for gram, count in counts.items():
            levels[n][gram[:-1]][gram[-1]] = count
    p = 1 / symbols
    for n in range(1, order + 1):
        after = levels[n].get(context[len(context) - n + 1 :])
        if after:
            d = {c: discounts[n][min(k, 3)] for c, k in after.items()}
            k = after.get(character, 0)
            p = eq.kneser_ney(k, d.get(character, 0), sum(d.values()), p, sum(after.values()))
    return p


@pytest.mark.parametrize("order", [1, 2, 4])
def test_n_grams_are_those_of_the_definition(order):
    text = "abracadabra, a cadabra bra cad"
    ngrams = counting.KneserNey(writing.encode(text), 96, 6)
    for history in ("abracad", "bra zzz", "q cadab"):
        p = ngrams.probabilities(writing.encode(history), order)
        assert p.sum() == pytest.approx(1)
        for character in "abz,":
            context = history[len(history) - order + 1 :]
            expected = by_definition(text, context, character, 96)
            assert p[writing.encode(character)[0]] == pytest.approx(expected)


def test_bits_of_a_text_are_those_of_its_characters_one_by_one():
    train, text = writing.encode(SHORT), writing.encode("It is a zebra")
    ngrams = counting.KneserNey(train, 96, 5)
    bits = ngrams.bits(text, 3)
    for n in range(3, len(text)):
        assert 2 ** -bits[n] == pytest.approx(ngrams.probabilities(text[:n], 3)[text[n]])


def test_partial_matching_shares_out_all_of_the_probability():
    text, symbols = "abracadabra", "abcdrxyz"
    price = [counting.partial_matching(text + s, len(text), 3, len(symbols)) for s in symbols]
    assert sum(2.0 ** -np.array(price)) == pytest.approx(1)
    assert np.argmin(price) == symbols.index("c")  # as after "abra" before
    rest = "cadabra"
    one_by_one = [
        counting.partial_matching(text + rest[: n + 1], len(text) + n, 3, 8) for n in range(7)
    ]
    assert counting.partial_matching(text + rest, len(text), 3, 8) == pytest.approx(
        np.mean(one_by_one)
    )


def test_a_compressor_pays_little_for_what_it_has_read():
    new = "".join(map(chr, RNG.integers(32, 127, size=2000)))
    for name in counting.COMPRESSORS:
        again, first = (counting.compressed(name, before, new) for before in (SHORT + new, SHORT))
        assert again < 2 < 6 < first


# --------------------------------------------------------------------------------------- networks
def test_the_parts_of_the_novel_follow_each_other_and_overlap_nowhere():
    parts = writing.texts()
    sizes = {name: len(text) for name, text in parts.items()}
    assert (sizes["validation"], sizes["test"]) == (40_000, 60_000)
    whole = parts["train"] + parts["validation"] + parts["test"]
    assert len(whole) == 883_003
    for text in parts.values():
        assert writing.decode(writing.encode(text)) == text
        assert set(writing.encode(text)) <= set(range(96))
    for held_out in writing.JUDGED:
        middle = parts[held_out][10_000:10_100]
        assert middle not in parts["train"]


def test_batches_go_on_where_the_last_ones_ended():
    ids = np.arange(1000)
    stream = writing.batches(ids, 64, 8, np.random.default_rng(0))
    (x, y), (later, _) = next(stream), next(stream)
    assert x.shape == y.shape == (8, 8)
    np.testing.assert_array_equal(y, (x + 1) % 1000)
    np.testing.assert_array_equal(later[0], y[-1])


def test_windows_that_hand_the_gradient_back_have_the_full_one():
    model = writing.Writer(8, rng=0)
    x = RNG.integers(96, size=(13, 2))

    def gradient(T, handed_back):
        for parameter in model.parameters():
            parameter.grad[...] = 0
        runs, state, d_state = [], None, None
        for t in range(0, 12, T):
            (logits, state), backward = model.vjp(x[t : t + T], state)
            p = eq.softmax(logits.astype(float)) - np.eye(96)[x[t + 1 : t + T + 1]]
            runs.append((backward, p.astype(np.float32)))
        for backward, d_logits in reversed(runs):
            d_state = backward(d_logits, d_state if handed_back else None)
        return np.concatenate([p.grad.ravel() for p in model.parameters()])

    full = gradient(12, True)
    np.testing.assert_allclose(gradient(4, True), full, atol=1e-5)
    assert np.abs(gradient(4, False) - full).max() > 1e-3


def test_streams_read_what_one_stream_reads():
    model, ids = writing.Writer(8, rng=0), RNG.integers(96, size=1000)
    bits = writing.bits_of(model, ids)
    logits, _ = model.forward(ids[:-1, None])
    alone = writing.cost(logits[:, 0], ids[1:])[writing.WARM_UP - 1 :]
    np.testing.assert_allclose(bits, alone, atol=1e-3)  # the past of 128 is as good as all
    assert eq.bits_per_character(bits * np.log(2)) == pytest.approx(bits.mean())


def test_transformer_is_as_large_and_does_not_look_ahead():
    network, one = parallel.TransformerWriter(0), writing.LSTMLearner(0)
    assert network.num_parameters == pytest.approx(one.num_parameters, rel=0.01)
    ids = RNG.integers(96, size=700)
    changed = ids.copy()
    changed[400:] = 5
    before = 400 - writing.WARM_UP
    np.testing.assert_allclose(
        network.bits(ids)[:before], network.bits(changed)[:before], rtol=1e-5
    )
    assert len(network.bits(ids)) == len(ids) - writing.WARM_UP == len(one.bits(ids))
    assert writing.sample(network.next_logits, "ab", 5, RNG) != ""


@pytest.mark.slow
@pytest.mark.parametrize("name", writers.NAMES)
def test_a_run_keeps_the_best_weights_and_judges_what_it_may(name, short, tmp_path, monkeypatch):
    # An update takes 10 ms by this clock, on any machine.
    monkeypatch.setattr(writing, "process_time", itertools.count(step=0.01).__next__)
    path = tmp_path / "w.npz"
    run = writing.train(name, 0.01, 10, 0.3, keep=path)
    assert set(run["bits"]) == set(writing.JUDGED)
    assert len(run["curve"]) == writing.CHECKS
    assert {len(s["text"]) for s in run["samples"]} == {writing.SAMPLE}
    assert run["bits"]["test"] < 6.6
    choice = writing.train(name, 0.01, 0, 0.1, part="choice", fraction=0.5)
    assert set(choice["bits"]) == {"validation"}


def test_saved_weights_come_back(tmp_path):
    network = writing.LSTMLearner(3)
    network.save(tmp_path / "w.npz")
    model = writer.load_writer(tmp_path / "w.npz")
    for mine, saved in zip(network.model.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(mine.data, saved.data, rtol=1e-3, atol=1e-6)


# --------------------------------------------------------------------------------------- contest
def in_turn(journal, calls, processes, share, until):
    del processes, until
    for call in calls:
        name, lr, seed, part, options = call
        found = {"name": name, "lr": lr, "seed": seed, "part": part, **options, "share": share}
        bits = abs(np.log(lr / 0.04)) + 0.01 * seed
        journal.keep(writers._key(call), found | {"bits": {"validation": bits}}, 0.0)
    return [journal.results[writers._key(call)] for call in calls]


def test_a_contest_tries_rates_until_none_is_best_at_an_edge(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "_all_of", in_turn)
    monkeypatch.setattr(writers, "count", lambda fraction: {"fraction": fraction})
    record = writers.writing(Journal(tmp_path / "x.partial"))
    for name in writers.NAMES:
        tried, chosen = written.rates(record, name)
        assert (tried[0], chosen, tried[-1]) == (0.005, 0.04, 0.08)
        seeds = [run["seed"] for run in written.runs(record, name)]
        assert seeds == list(writers.SEEDS)
    keys = [writers._key(call) for call in writers.calls_after(dict.fromkeys(writers.NAMES, 0.1))]
    assert len(set(keys)) == len(keys)
    assert written.counted(record, 1 / 4) == {"fraction": 1 / 4}


def test_a_run_that_fails_is_a_result(tmp_path):
    call = ("LSTM", -1.0, 0, "choice", {})
    assert "lr" in writers.run_one(call, 0.001, tmp_path)["error"]


def test_more_seeds_goes_on_from_its_record_and_says_what_is_missing(tmp_path, monkeypatch):
    before, asked = load_record("writing"), []

    def one(journal, calls, *_):
        asked.append(list(map(writers._key, calls)))
        in_turn(journal, calls[:1], 1, 1.0, 0.0)
        raise TimeoutError

    def record(name):
        path = tmp_path / "more_seeds.json"
        return before if name == "writing" else json.loads(path.read_text())

    monkeypatch.setattr(writers, "_all_of", one)
    monkeypatch.setattr(writers, "FOLDER", tmp_path)
    monkeypatch.setattr(writers, "load_record", record)
    for _ in range(2):
        found = writers.more_seeds(Journal(tmp_path / "x.partial"))
        (tmp_path / "x.partial").unlink()
        (tmp_path / "more_seeds.json").write_text(json.dumps(found))
    first, second = asked
    assert second == first[1:]  # no run twice
    assert list(map(writers._key_of, found["runs"])) == first[:2]
    assert found["missing"] == first[2:]
    assert not {*first} & set(map(writers._key_of, before["runs"]))


def test_every_look_at_the_test_part_is_logged_as_its_run_ends(tmp_path):
    run = {"name": "LSTM", "part": "curve", "lr": 0.02, "seed": 3, "fraction": 0.25, "share": 1.0}
    run |= {"commit": "abc", "bits": {"validation": 2.0, "test": 1.98765}}
    failed = {key: value for key, value in run.items() if key != "bits"} | {"error": "no"}
    for each in (run, run | {"part": "choice"}, failed):
        writers._log(tmp_path, each)
    (line,) = trials.read(tmp_path)
    assert line["part"] == "test"
    assert line["bits"] == 1.988
    assert line["changed"] == ["lr=0.02", "share=1.0", "fraction=0.25"]


# ----------------------------------------------------------------------------------------- cells
def test_quotations_are_open_from_mark_to_mark_and_end_with_a_paragraph():
    text = 'a "bc" d "e\n\nf'
    inside = "".join("01"[int(n)] for n in cells.inside_quotation(text))
    assert inside == "00111000011100"


def test_places_in_a_line_are_counted_from_its_end():
    assert cells.since("\n", "ab\n\nc").tolist() == [1, 2, 0, 0, 1]
    assert cells.FOLLOWED["place in the word"]("a bc\n").tolist() == [1, 0, 1, 2, 0]
    np.testing.assert_allclose(
        cells.FOLLOWED["place in the sentence"]("Ha! O")[2:], np.log([1, 2, 3])
    )
    assert cells.FOLLOWED.keys() == cells.ENDS.keys()


def test_a_held_cell_stays_and_a_free_text_reads_as_ever():
    model, ids = writing.Writer(8, rng=0), RNG.integers(96, size=900)
    logits, c = cells.read(model, ids)
    assert logits.shape == (772, 96)
    assert c.shape == (772, 8)
    bits = writing.bits_of(model, ids)
    np.testing.assert_allclose(writing.cost(logits[:-1], ids[129:]), bits[1:], atol=1e-4)
    held, kept = cells.read(model, ids, (3, 0.7))
    np.testing.assert_allclose(kept[:, 3], 0.7, rtol=1e-6)
    assert np.abs(held - logits).max() > 1e-3


def test_a_cell_that_follows_is_told_from_chance():
    truth = (np.cumsum(RNG.random(20_000) < 0.02) % 2).astype(float)
    noise = RNG.normal(size=(20_000, 5))
    found = np.column_stack([truth + 0.5 * noise[:, 0], noise])
    r = cells.correlations(found, truth)
    np.testing.assert_allclose(r, [np.corrcoef(x, truth)[0, 1] for x in found.T], atol=1e-9)
    chance = cells.by_chance(found, truth)
    assert r[0] > 2 * chance.max()
    assert np.abs(r[1:]).max() < chance.max()
    shift = 2500
    by_hand = cells.correlations(np.roll(found, -shift, axis=0), truth)
    assert chance[shift - cells.APART] == pytest.approx(np.abs(by_hand).max())


@pytest.mark.parametrize("turned", [False, True])
def test_a_planted_cell_is_found_where_it_keeps_its_sign(monkeypatch, turned):
    def shown(model, part):
        found = np.random.default_rng(len(part)).normal(size=(cells.MOST[part] - 128, 5))
        if model == "learnt":
            follows = cells._truth("place in the line", part)
            found[:, 2] += follows / (10 if turned and part == "other" else -10)
        return found

    monkeypatch.setattr(cells, "_shown", shown)
    found = cells.follow("learnt", ["new"])
    line = found["place in the line"]
    assert line.passed.tolist() == [False, False, True, False, False]
    assert line.best == (None if turned else 2)
    assert line.chance < 0.0101
    assert 0 < line.shifted < 0.3
    assert found["inside a quotation"].best is None


@pytest.mark.parametrize("sign", [1, -1])
def test_the_best_threshold_is_the_best_of_all(sign):
    values = RNG.normal(size=200)
    truth = sign * values + RNG.normal(size=200) > 0.3
    threshold, above = cells.best_threshold(values, truth)
    best = max(max(np.mean((values > t) == truth), np.mean((values < t) == truth)) for t in values)
    assert above == (sign > 0)
    assert np.mean(((values > threshold) == above) == truth) >= best


# ---------------------------------------------------------------------------------------- record
def test_the_recorded_rates_are_the_best_of_those_tried_and_at_no_edge():
    record = load_record("writing")
    for name in writers.NAMES:
        choices = written.runs(record, name, "choice")
        tried, chosen = written.rates(record, name)
        assert chosen == writers.chosen_rate(choices)
        assert tried[0] < chosen < tried[-1]
        assert len(tried) >= 4
        assert writers.rates_to_try(choices) == []
        assert [run["seed"] for run in written.runs(record, name)] == list(writers.SEEDS)
        assert not any("error" in run for run in written.runs(record, name))


def test_the_recorded_orders_are_the_best_on_validation_and_at_no_edge():
    for counted in load_record("writing")["counted"]:
        for key, chosen in (("orders", "order"), ("ppm", "ppm_order")):
            price = {int(n): found["validation"] for n, found in counted[key].items()}
            assert counted[chosen] == min(price, key=price.get)
            assert min(price) < counted[chosen] < max(price)


def test_every_recorded_run_is_one_of_the_contest():
    record = load_record("writing")
    rates = {name: written.rates(record, name)[1] for name in writers.NAMES}
    wanted = [writers._key(call) for call in writers.calls_after(rates)]
    found = [writers._key_of(run) for run in record["runs"] if run["part"] != "choice"]
    assert sorted(found) == sorted(wanted)


@pytest.mark.slow
def test_the_stored_weights_are_those_of_the_recorded_run():
    """The test part, read with them, costs what the record says, but for the rounding."""
    record, options = load_record("writing"), writers.FARTHER[-1]
    path = FOLDER / writers.weights_of("longer", options)
    assert path.stat().st_size < 400_000
    model = writer.load_writer(path)
    bits = writing.bits_of(model, writing.encode(writing.texts()["test"]))
    (run,) = written.runs(record, "LSTM", "longer", **options)
    assert bits.mean() == pytest.approx(run["bits"]["test"], abs=0.005)
    assert cells.best_scores(model) == pytest.approx(record["scores"][path.name], abs=2e-3)


def test_counting_again_gives_the_record():
    record = written.counted(load_record("writing"), 1 / 16)
    parts = writing.texts()
    before = parts["train"][: int(len(parts["train"]) / 16)]
    ngrams = counting.KneserNey(writing.encode(before), writing.SYMBOLS, record["order"])
    bits = ngrams.bits(writing.encode(parts["test"]), record["order"])[writing.WARM_UP :].mean()
    assert bits == pytest.approx(written.ngram(load_record("writing"), "test", 1 / 16), abs=1e-3)


def test_the_runs_with_more_seeds_come_from_clean_commits_and_each_look_is_logged():
    record = load_record("more_seeds")
    assert record["runs"]
    looks = {
        (line["model"], line["seed"], line["for"], line["bits"])
        for line in trials.read(FOLDER.parent)
        if line.get("experiment") == "writing"
    }
    for run in record["runs"]:
        assert "error" not in run
        assert not run["commit"].endswith("+")
        assert (run["name"], run["seed"], run["part"], run["bits"]["test"]) in looks
