// The reader of reviews: a sentence on a film, word by word (watch.js shows it).
"use strict";

LSTM.enliven("reviews", LSTM.watch(({ data, weights, changed }) => {
  const { argmax, element, shape, button, sigmoid } = LSTM;
  const [, D] = data.weights.E.shape;
  const ids = new Map(data.words.map((word, n) => [word, n + 2]));
  const UNKNOWN = 1; // 0 is padding
  const LONGEST = 60;
  // As lstm.text.tokenise does.
  const tokenise = (text) =>
    text.replace(/<[^<>]*>/g, " ").replaceAll("’", "'").toLowerCase()
      .match(/[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*|[!?]/gu) ?? [];
  const area = element("textarea", { id: "watch-text", rows: 1, value: data.examples[0], spellcheck: false });
  area.addEventListener("input", changed);
  const set = (text) => {
    area.value = text;
    changed();
  };
  const shown = (word) => (word.length > 13 ? `${word.slice(0, 12)}…` : word);
  const task = {
    controls: element("div", { className: "watch-input" },
      element("label", { htmlFor: area.id, textContent: "Write about a film" }),
      element("div", { className: "widget-buttons" },
        ...data.examples.map((text, n) => button(`Example ${n + 1}`, () => set(text))),
        button("Clear", () => {
          set("");
          area.focus();
        })),
      area),
    read: () => {
      const words = tokenise(area.value).slice(0, LONGEST);
      const vector = (word) => {
        const id = ids.get(word) ?? UNKNOWN;
        return weights.E.subarray(id * D, (id + 1) * D);
      };
      const names = words.map((word) => `“${word}”${ids.has(word) ? "" : ", a word it does not know"}`);
      task.words = words;
      return { inputs: words.map(vector), names };
    },
    // Begin where the verdict moves most: there is something to see.
    start: (run) => {
      const moves = run.map(({ logits }, t) => Math.abs(logits[0] - (t ? run[t - 1].logits[0] : 0)));
      return argmax(moves);
    },
    empty: "No word yet: type a sentence.",
    column: 19,
    pace: 450,
    headHeight: (column) => (column < 34 ? 88 : 62),
    head: ({ x, layout }) => task.words.map((word, t) => {
      const angle = layout.column < 34 ? -78 : -42;
      const made = shape("text", { class: "watch-word", "data-step": t, transform: `translate(${x(t + 0.6)} ${layout.top - 6}) rotate(${angle})` });
      made.append(shown(word));
      if (!ids.has(word)) made.classList.add("watch-unknown");
      return made;
    }),
    answerHeight: 54,
    answers: ({ run, plain, x, layout, height, curve, label }) => {
      const share = ({ logits: [z] }) => sigmoid(z);
      const parts = [
        shape("path", { class: "watch-axis", d: `M${layout.left} ${height(0.5)}H${x(run.length)}` }),
        label(0.93, layout.narrow ? "+" : "positive"),
        label(0.03, layout.narrow ? "−" : "negative"),
      ];
      if (plain) parts.push(shape("path", { class: "watch-ghost", d: curve(plain, share) }));
      if (run.length) {
        const line = curve(run, share);
        const area = `M${x(0.85)} ${height(0.5)}L${line.slice(1)}L${x(run.length - 0.15)} ${height(0.5)}Z`;
        parts.push(shape("path", { class: "watch-area part-h part-o", d: area }), shape("path", { class: "watch-answer part-h part-o", d: line }));
        for (const [t, made] of run.entries()) {
          parts.push(shape("circle", { class: "watch-dot part-h part-o", cx: x(t + 0.85), cy: height(share(made)), r: 3 }));
        }
      }
      return parts;
    },
    verdict: (name, [z]) => `After ${name}: ${Math.round(100 * sigmoid(z))}% positive.`,
  };
  return task;
}));
