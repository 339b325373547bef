// The writer of chapter 16: a passage letter by letter, coloured by what one cell holds (watch.js).
"use strict";

LSTM.enliven("writing", LSTM.watch(({ data, weights, changed, go }) => {
  const { element, shape, button, softmax } = LSTM;
  const [, D] = data.weights.E.shape;
  const LONGEST = 450;
  const vectors = Array.from({ length: data.weights.E.shape[0] }, (_, n) => weights.E.subarray(n * D, (n + 1) * D));
  const passages = data.passages.map(({ text, state }) => ({ text, ...LSTM.unpackAll(state) }));
  let begun = passages[0]; // the reader's own text goes on where the first passage would
  let letters = "";

  const area = element("textarea", { id: "watch-passage", rows: 2, value: begun.text, spellcheck: false });
  area.addEventListener("input", changed);
  const set = (passage, text) => {
    begun = passage;
    area.value = text;
    changed();
  };
  const called = (id) => ["a line end", "a space"][id] ?? `“${String.fromCharCode(id + 31)}”`;
  const id = (letter) => (letter === "\n" ? 0 : letter.charCodeAt(0) - 31);
  const percent = (p) => `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)}%`;

  // The passage as it is printed; below it the ribbons are the same letters in one row.
  const page = element("p", { className: "watch-page", role: "img" });
  const at = ({ target, buttons, pointerType }) => {
    const t = [...page.children].indexOf(target);
    if (t >= 0 && (buttons || pointerType === "mouse")) go(t);
  };
  page.addEventListener("pointerdown", at);
  page.addEventListener("pointermove", at);
  let painted;
  const paint = (run, plain, k) => {
    const values = (steps) => steps.map(({ c }) => Math.tanh(c[k]));
    const free = values(plain);
    const middle = free.reduce((sum, v) => sum + v, 0) / free.length;
    const largest = Math.max(0.1, ...free.map((v) => Math.abs(v - middle)));
    page.setAttribute("aria-label", `The passage; each letter is shaded by cell ${k + 1}: its number is said at each step`);
    page.replaceChildren(...values(run).map((v, t) => {
      const share = Math.min(1, Math.abs(v - middle) / largest);
      const [tone, line] = v < middle ? ["forget", "dotted"] : ["candidate", "solid"];
      return element("span", {
        textContent: letters[t] === "\n" ? "↵\n" : letters[t],
        style: share < 0.06 ? "" : `background:color-mix(in srgb,var(--lstm-${tone}) ${Math.round(35 * share)}%,transparent);border-bottom:2px ${line} var(--lstm-${tone})`,
      });
    }));
  };

  return {
    cells: data.cells,
    alone: () => true,
    views: ["memory"],
    begin: () => begun,
    controls: element("div", { className: "watch-input" },
      element("label", { htmlFor: area.id, textContent: "A passage, or your own text" }),
      element("div", { className: "widget-buttons" },
        ...passages.map((passage, n) => button(`Passage ${n + 1}`, () => set(passage, passage.text))),
        button("Clear", () => {
          set(passages[0], "");
          area.focus();
        })),
      area, page),
    read: () => {
      letters = area.value.replace(/[‘’]/g, "'").replace(/[“”]/g, '"').replace(/[–—]/g, "--")
        .replace(/[^\n -~]/g, "").slice(0, LONGEST);
      page.replaceChildren();
      const ids = [...letters].map(id);
      return { inputs: ids.map((n) => vectors[n]), names: ids.map(called) };
    },
    // Begin early in the second line: a hold is seen from there on.
    start: () => letters.indexOf("\n") + 12,
    show: ({ run, plain, k, t }) => {
      if (painted?.run !== run || painted.k !== k) paint(run, plain, k);
      painted = { run, k };
      page.querySelector(".watch-chosen")?.classList.remove("watch-chosen");
      page.children[t].classList.add("watch-chosen");
    },
    empty: "No letter yet: type some.",
    column: 11,
    pace: 90,
    headHeight: () => 26,
    head: ({ x, layout }) => [...letters].map((letter, t) => shape("text", {
      class: "watch-word", "data-step": t, x: x(t + 0.5), y: layout.top - 16, "text-anchor": "middle",
    }, letter === "\n" ? "↵" : letter)),
    answerHeight: 54,
    answers: ({ run, plain, x, layout, height, curve, label }) => {
      const share = ({ logits }) => softmax(logits)[0];
      return [
        shape("path", { class: "watch-axis", d: `M${layout.left} ${height(0)}H${x(run.length)}` }),
        label(0.87, layout.narrow ? "1" : "line end"),
        label(0, "0"),
        ...(plain ? [shape("path", { class: "watch-ghost", d: curve(plain, share) })] : []),
        shape("path", { class: "watch-answer part-h part-o", d: curve(run, share) }),
      ];
    },
    verdict: (name, logits, free) => {
      const [p, q] = [softmax(logits), softmax(free)];
      const likeliest = (shares) => [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, 3)
        .map((n) => `${called(n)} ${percent(shares[n])}`).join(", ");
      const held = logits === free ? "" : ` Free: ${likeliest(q)}; line end ${percent(q[0])}.`;
      return `After ${name}: ${likeliest(p)}; line end ${percent(p[0])}.${held}`;
    },
  };
}));
