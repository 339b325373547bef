"""Make a table and a plot of the figures of one run."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.engines import ENGINES
from benchmarks.shapes import SHAPES

REFERENCES = ("nn.LSTM", "nn.LSTM packed")


def ratios(
    run: dict,
    shape: str,
    mode: str,
    regime: str,
    threads: int,
    against: str = "nn.LSTM",
    ours: str = "ours",
) -> tuple[float, float, float] | None:
    """Return time(against) / time(ours): its median over the rounds, the least and the greatest."""
    pair = [
        record["rounds_ms"]
        for engine in (against, ours)
        for record in run["times"]
        if (engine, shape, mode, regime, threads)
        == tuple(record[key] for key in ("engine", "shape", "mode", "regime", "threads"))
    ]
    if len(pair) < 2:
        return None
    quotients = [slower / faster for slower, faster in zip(*pair, strict=True)]
    return statistics.median(quotients), min(quotients), max(quotients)


def markdown(run: dict) -> str:
    """Return the whole report."""
    lines = ["# Benchmark", "", about(run), ""]
    lines += ["## Ratios", "", RATIO_TEXT, "", *ratio_table(run), ""]
    lines += ["## Ratios without numba", "", NUMPY_TEXT, "", *ratio_table(run, "ours, NumPy"), ""]
    lines += ["## Milliseconds", "", MS_TEXT, "", *time_table(run), ""]
    if run["memory"]:
        lines += ["## Memory", "", MEMORY_TEXT, "", *memory_table(run), ""]
    return "\n".join(lines)


RATIO_TEXT = (
    "Time of `nn.LSTM` (for ragged batches: on a PackedSequence / on the padded batch) divided by "
    "the time of `lstm.LSTM`: above 1, ours is faster. Medians over the rounds, in brackets the "
    "least and the greatest round. *Native* lets OpenBLAS choose its kernels, *pinned* sets "
    "`OPENBLAS_CORETYPE=Haswell`, which leaves PyTorch untouched."
)
NUMPY_TEXT = (
    "The same for `lstm.LSTM` as it runs where numba is not installed (`LSTM_ENGINE=numpy`)."
)
MS_TEXT = (
    "Medians of all calls, in processor time; native, one thread. Training is forward and backward."
)
MEMORY_TEXT = (
    "By how much the resident memory of a fresh process grew at its peak, in MiB, after a warm-up "
    "with a tiny batch; measured the same way for each engine (`VmHWM` minus `VmRSS` before)."
)


def about(run: dict) -> str:
    """Return one paragraph on machine and versions."""
    machine = run["machine"]
    kernels = {
        f"{regime}: {pool['architecture']}"
        for regime, engines in run["about"].items()
        for pool in engines["ours"]["thread_pools"]
        if pool["internal_api"] == "openblas"
    }
    versions: dict[str, str] = {}
    for engines in run["about"].values():
        for worker in engines.values():
            versions |= worker["versions"]
    shown = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, Python "
        f"{machine['python']}, {shown}; OpenBLAS kernels {', '.join(sorted(kernels))}; "
        f"{run['rounds']} interleaved rounds."
    )


def ratio_table(run: dict, ours: str = "ours") -> list[str]:
    """Return a row for each shape, a column for each regime, threads and mode."""
    configurations = sorted({(r["regime"], r["threads"]) for r in run["times"]})
    columns = [
        (*configuration, mode)
        for configuration in configurations
        for mode in ("training", "inference")
    ]
    heads = [f"{mode}, {regime}, {threads} thr." for regime, threads, mode in columns]
    rows = [["shape", "B, T, D, H", *heads]]
    for name, shape in SHAPES.items():
        cells = []
        for regime, threads, mode in columns:
            values = [
                ratios(run, name, mode, regime, threads, against, ours)
                for against in REFERENCES[::-1]
            ]
            cells.append(
                " / ".join(
                    f"{m:.2f} ({low:.2f}–{high:.2f})" for m, low, high in filter(None, values)
                )
            )
        if any(cells):
            rows.append([name, f"{shape.B}, {shape.T}, {shape.D}, {shape.H}", *cells])
    return table(rows)


def time_table(run: dict) -> list[str]:
    """Return a row for each shape and mode, a column for each engine."""
    chosen = [r for r in run["times"] if (r["regime"], r["threads"]) == ("native", 1)]
    engines = [engine for engine in ENGINES if any(r["engine"] == engine for r in chosen)]
    rows = [["shape", "", *(ENGINES[engine].label for engine in engines)]]
    for mode in ("training", "inference"):
        for name in SHAPES:
            found = {
                r["engine"]: r["ms"] for r in chosen if (r["shape"], r["mode"]) == (name, mode)
            }
            if found:
                cells = [f"{found[e]:.3g}" if e in found else "" for e in engines]
                rows.append([name, mode, *cells])
    return table(rows)


def memory_table(run: dict) -> list[str]:
    """Return a row for each shape and mode, a column for each engine."""
    engines = [e for e in ENGINES if any(r["engine"] == e for r in run["memory"])]
    rows = [["shape", "", *(ENGINES[engine].label for engine in engines), "ours / nn.LSTM"]]
    for mode in ("training", "inference"):
        for name in SHAPES:
            found = {
                r["engine"]: r["bytes"]
                for r in run["memory"]
                if (r["shape"], r["mode"]) == (name, mode)
            }
            if found:
                cells = [f"{found[e] / 2**20:.1f}" if e in found else "" for e in engines]
                ratio = f"{found['ours'] / found['nn.LSTM']:.2f}"
                rows.append([name, mode, *cells, ratio])
    return table(rows)


def table(rows: list[list[str]]) -> list[str]:
    """Return a Markdown table; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return [head, "|" + " --- |" * len(rows[0]), *body]


def plot(run: dict, path: Path) -> None:
    """Draw the ratios of a training step, native and pinned, as an SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    regimes = {"native": ("#1f77b4", "o"), "pinned": ("#d98200", "s")}
    names = [n for n in SHAPES if any(ratios(run, n, "training", r, 1) for r in regimes)]
    with mpl.rc_context({"svg.hashsalt": "benchmark", "svg.fonttype": "none", "font.size": 11}):
        figure = Figure(figsize=(7, 0.42 * len(names) + 1.2), layout="constrained")
        axes, labelled = figure.subplots(), set()
        for offset, (regime, (colour, marker)) in zip((-0.12, 0.12), regimes.items(), strict=True):
            for row, name in enumerate(names):
                found = ratios(run, name, "training", regime, 1)
                if found:
                    median, low, high = found
                    axes.plot([low, high], [row + offset] * 2, color=colour, lw=1.5)
                    label = None if regime in labelled else f"{regime} BLAS kernels"
                    labelled.add(regime)
                    axes.plot(median, row + offset, marker, color=colour, label=label)
        axes.axvline(1, color="#777777", lw=1, label="as fast as nn.LSTM")
        axes.set_xscale("log", base=2)
        ticks = [0.5, 0.7, 1, 1.4, 2, 2.8]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("time(nn.LSTM) / time(lstm.LSTM), training step, one thread")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="lower right")
        figure.savefig(path, metadata={"Date": None})
