// The lamp of chapter 15: an LSTM follows a switch, step by step (watch.js shows it).
"use strict";

LSTM.enliven("parity", LSTM.watch(({ data, weights, changed }) => {
  const { element, shape, button, sigmoid } = LSTM;
  const LONGEST = 120;
  const VECTORS = [new Float64Array([0]), new Float64Array([1])];
  let bits, on;
  const line = element("input", { type: "text", id: "watch-switch", value: data.example, maxLength: LONGEST, spellcheck: false, inputMode: "numeric", autocomplete: "off" });
  line.addEventListener("input", changed);
  const set = (text) => {
    line.value = text.slice(-LONGEST);
    changed();
  };
  const alone = element("input", { type: "checkbox", id: "watch-alone" });
  alone.addEventListener("change", changed);
  return {
    cells: data.cells,
    alone: () => alone.checked,
    views: ["memory"],
    controls: element("div", { className: "watch-input" },
      element("label", { htmlFor: line.id, textContent: "The switch: 1 is a press, 0 is none" }),
      element("div", { className: "widget-buttons" },
        button("Press", () => set(`${line.value}1`)),
        button("Wait", () => set(`${line.value}0`)),
        button("Press every time", () => set("1".repeat(40))),
        button("Random", () => set(Array.from({ length: 40 }, () => Number(Math.random() < 0.5)).join("")))),
      line,
      element("div", { className: "widget-check" }, alone,
        element("label", { htmlFor: alone.id, textContent: "a hold is one of the chosen cell alone" }))),
    read: () => {
      bits = [...line.value].filter((sign) => "01".includes(sign)).map(Number);
      let odd = 0;
      on = bits.map((bit) => (odd ^= bit));
      return { inputs: bits.map((bit) => VECTORS[bit]), names: bits.map((bit, t) => `${bit ? "a press" : "none"} at step ${t + 1}`) };
    },
    start: (run) => Math.floor(run.length / 4),
    empty: "Nothing yet: press the switch.",
    column: 15,
    pace: 300,
    headHeight: () => 26,
    head: ({ x, layout }) => bits.map((bit, t) => shape("text", {
      class: "watch-word", "data-step": t, x: x(t + 0.5), y: layout.top - 16, "text-anchor": "middle",
    }, bit ? "▼" : "·")),
    answerHeight: 54,
    answers: ({ run, plain, x, layout, height, curve, label }) => {
      const share = ({ logits: [z] }) => sigmoid(z);
      return [
        shape("path", { class: "watch-axis", d: `M${layout.left} ${height(0.5)}H${x(run.length)}` }),
        label(0.93, layout.narrow ? "1" : "on"),
        label(0.03, layout.narrow ? "0" : "off"),
        ...(plain ? [shape("path", { class: "watch-ghost", d: curve(plain, share) })] : []),
        shape("path", { class: "watch-answer part-h part-o", d: curve(run, share) }),
        ...run.map((made, t) => shape("circle", {
          class: share(made) > 0.5 === (on[t] === 1) ? "watch-dot part-h" : "watch-wrong", cx: x(t + 0.85), cy: height(share(made)), r: 3,
        })),
      ];
    },
    verdict: (name, [z]) => {
      const shown = sigmoid(z) > 0.5;
      const t = Number(name.split(" ").at(-1)) - 1;
      return `After ${name}: ${shown ? "on" : "off"}, ${shown === (on[t] === 1) ? "rightly" : "wrongly"} (${Math.round(100 * sigmoid(z))}% on).`;
    },
  };
}));
