// The coloured cell of one step: each wire is as wide as the number that it carries.
"use strict";

LSTM.cellDrawing = () => {
  const { NAMES, number, shape } = LSTM;
  const ALSO = { kept: ["c"], written: ["g"] };
  const svg = shape("svg", { class: "watch-cell", viewBox: "0 0 310 236", role: "img", "aria-label": "The cell at this step; the lines beside it say the same in numbers" });
  const texts = {};
  const wires = {};
  // The parts that something belongs to; the first is lit where it is touched, and gives its colour.
  const parts = (...names) => `${names.map((name) => `part-${name}`).join(" ")} widget-${NAMES[names[0]]}`;
  const wire = (key, part, d) => {
    wires[key] = shape("path", { class: `watch-wire ${parts(part, ...(ALSO[key] ?? []))}`, d });
    svg.append(wires[key]);
  };
  const text = (key, part, px, py, anchor = "middle", content = "") => {
    texts[key] = shape("text", { class: parts(part, ...(ALSO[key] ?? [])), x: px, y: py, "text-anchor": anchor }, content);
    svg.append(texts[key]);
  };
  svg.append(shape("rect", { class: "watch-frame", x: 34, y: 20, width: 238, height: 196, rx: 12 }));
  wire("before", "c", "M4 48H76");
  wire("kept", "kept", "M76 48H150");
  wire("after", "c", "M150 48H306");
  wire("f", "f", "M76 168V48");
  wire("i", "i", "M124 168V112H150");
  wire("g", "g", "M176 168V112H150");
  wire("written", "written", "M150 112V48");
  wire("shown", "c", "M246 48V128");
  wire("o", "o", "M222 168V128H246");
  wire("h", "h", "M246 128V200H306");
  svg.append(shape("path", { class: "watch-bus", d: "M4 200H222M76 200V182M124 200V182M176 200V182M222 200V182" }));
  const gate = (part, px, name) => {
    const box = shape("g", { class: `watch-gate ${parts(part)}` },
      shape("rect", { x: px - 17, y: 158, width: 34, height: 24, rx: 4 }),
      shape("text", { x: px, y: 175, "text-anchor": "middle" }, name));
    if (part !== "g") box.dataset.gate = part;
    svg.append(box);
  };
  gate("f", 76, "σ");
  gate("i", 124, "σ");
  gate("g", 176, "tanh");
  gate("o", 222, "σ");
  const sign = (names, px, py, name) => svg.append(shape("g", { class: `watch-sign ${parts(...names)}` },
    shape("circle", { cx: px, cy: py, r: 9 }), shape("text", { x: px, y: py + 5, "text-anchor": "middle" }, name)));
  sign(["kept", "f", "c"], 76, 48, "×");
  sign(["c"], 150, 48, "+");
  sign(["written", "i", "g"], 150, 112, "×");
  sign(["h", "o"], 246, 128, "×");
  svg.append(shape("g", { class: "watch-sign part-h" },
    shape("rect", { x: 229, y: 76, width: 34, height: 20, rx: 10 }),
    shape("text", { x: 246, y: 91, "text-anchor": "middle" }, "tanh")));
  text("before", "c", 2, 38, "start");
  text("kept", "kept", 112, 38);
  text("c", "c", 308, 38, "end");
  text("f", "f", 70, 128, "end");
  text("i", "i", 118, 136, "end");
  text("g", "g", 150, 150);
  text("written", "written", 156, 84, "start");
  text("o", "o", 216, 144, "end");
  text("h", "h", 308, 192, "end");
  text("bus", "x", 4, 218, "start", "x, h");
  const show = (numbers, digits, largest) => {
    for (const [key, place] of Object.entries(texts)) {
      if (key in numbers) place.textContent = number(numbers[key], digits);
    }
    for (const [key, path] of Object.entries(wires)) {
      path.style.strokeWidth = 0.8 + 5.2 * Math.min(1, Math.abs(numbers[key]) / largest);
    }
  };
  return { svg, show };
};
