// What all interactive figures share: the LSTM's forward pass, packed weights, and a few controls.
// No module and no fetch: browsers refuse both to pages that were opened as files.
window.LSTM = (() => {
  "use strict";

  // ------------------------------------------------------------------------------ mathematics
  const argmax = (values) => values.indexOf(Math.max(...values));

  const sigmoid = (z) => 1 / (1 + Math.exp(-z));

  const softmax = (logits) => {
    const largest = Math.max(...logits);
    const powers = logits.map((z) => Math.exp(z - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((p) => p / sum);
  };

  // b + M x, for M stored row by row in a flat array.
  const affine = (M, x, b) => {
    const sums = Float64Array.from(b);
    for (let row = 0, at = 0; row < sums.length; row++) {
      let sum = sums[row];
      for (let column = 0; column < x.length; column++, at++) sum += M[at] * x[column];
      sums[row] = sum;
    }
    return sums;
  };

  // The cells of some articles, each as it is printed: what they put in the place of a line.
  const RULES = {
    "000": {
      o: (o, h) => o * h,
      c: (made, c) => c,
      h: ({ i, f, g, o }, h) => f * h + i * g * o,
    },
    "001": { c: ({ i, f, g }, c) => (1 - f) * c + i * g },
    "004": { h: ({ o, c }) => o * c },
  };

  // At what a gate of a cell stands still. held: { f: 1 } for all cells, { f: { 3: 1 } } for some.
  const heldAt = (held, gate, k) => (typeof held[gate] === "object" ? held[gate][k] : held[gate]);

  // One step. weights: W (4H, D), U (4H, H), b (4H), gate order i, f, g, o, all flat; held: gates
  // that stand still; rule: one of RULES.
  const step = ({ W, U, b }, x, h, c, held = {}, rule = {}) => {
    const H = h.length;
    const a = affine(U, h, affine(W, x, b));
    const made = { a, held, i: [], f: [], g: [], o: [], c: [], h: [] };
    for (let k = 0; k < H; k++) {
      const i = heldAt(held, "i", k) ?? sigmoid(a[k]);
      const f = heldAt(held, "f", k) ?? sigmoid(a[H + k]);
      const g = Math.tanh(a[2 * H + k]);
      let o = heldAt(held, "o", k) ?? sigmoid(a[3 * H + k]);
      if (rule.o) o = rule.o(o, h[k]);
      const cell = rule.c ? rule.c({ i, f, g }, c[k]) : f * c[k] + i * g;
      const now = { i, f, g, o, c: cell };
      now.h = rule.h ? rule.h(now, h[k]) : o * Math.tanh(cell);
      for (const [name, value] of Object.entries(now)) made[name].push(value);
    }
    return made;
  };

  // Mᵀ d for M stored row by row.
  const transposed = (M, d, columns) => {
    const sums = new Float64Array(columns);
    for (let row = 0, at = 0; row < d.length; row++) {
      for (let column = 0; column < columns; column++, at++) sums[column] += M[at] * d[row];
    }
    return sums;
  };

  // One step back: from the gradients of its h and c (as a state alone) to those of its
  // preactivations a, of the state before, and the whole gradient of its cell.
  const stepBack = (made, c_prev, d_h, d_c) => {
    const H = d_h.length;
    const d_a = new Float64Array(4 * H);
    const d_cell = made.c.map((c, k) => d_c[k] + d_h[k] * made.o[k] * (1 - Math.tanh(c) ** 2));
    for (let k = 0; k < H; k++) {
      const [i, f, g, o] = [made.i[k], made.f[k], made.g[k], made.o[k]];
      d_a[k] = d_cell[k] * g * i * (1 - i); // 0 where a gate is held at 0 or 1
      d_a[H + k] = d_cell[k] * c_prev[k] * f * (1 - f);
      d_a[2 * H + k] = d_cell[k] * i * (1 - g ** 2);
      d_a[3 * H + k] = d_h[k] * Math.tanh(made.c[k]) * o * (1 - o);
    }
    return { d_a, d_cell, d_c_prev: d_cell.map((d, k) => d * made.f[k]) };
  };

  // ------------------------------------------------------------------------------ packed data
  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  // Little-endian integers times a power of two: lstm_book/figures/widgets/files.py.
  const unpack = ({ bits, exponent, base64 }) => {
    const view = new DataView(bytes(base64).buffer);
    const size = bits / 8;
    const read = bits === 8 ? (at) => view.getInt8(at) : (at) => view.getInt16(at, true);
    return Float64Array.from(
      { length: view.byteLength / size },
      (_, index) => read(index * size) * 2 ** exponent,
    );
  };

  const unpackAll = (packed) =>
    Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, unpack(value)]));

  // ----------------------------------------------------------------------------------- a page
  // The parts of a cell in words, as the style sheet has them, too.
  const NAMES = {
    i: "input", f: "forget", g: "candidate", o: "output", c: "cell", h: "hidden",
    kept: "cell", written: "candidate",
  };

  const element = (name, properties = {}, ...children) => {
    const { dataset, style, ...rest } = properties;
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(rest)) {
      if (key in made) made[key] = value;
      else made.setAttribute(key, value);
    }
    Object.assign(made.dataset, dataset);
    if (style) made.style.cssText = style;
    made.append(...children);
    return made;
  };

  const shape = (name, attributes = {}, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const number = (value, digits) => {
    const text = value.toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
  };

  let fields = 0;

  // A slider and a number for the same value. `name` is read out, `label` (HTML) is seen.
  const slider = ({ label, name, min, max, step, value, onInput }) => {
    const id = `widget-field-${++fields}`;
    const bounds = { min: String(min), max: String(max), step: String(step) };
    const range = element("input", { type: "range", id, ...bounds });
    const exact = element("input", { type: "number", inputMode: "decimal", ...bounds });
    range.setAttribute("aria-label", name);
    exact.setAttribute("aria-label", `${name}, as a number`);
    const seen = element("label", { htmlFor: id, innerHTML: label });
    let current;
    const show = (next) => {
      current = next;
      range.value = String(next);
      exact.value = String(Number(next.toFixed(4)));
    };
    range.addEventListener("input", () => {
      show(Number(range.value));
      onInput(current);
    });
    exact.addEventListener("input", () => {
      if (exact.value.trim() === "" || !Number.isFinite(Number(exact.value))) return;
      current = Math.min(max, Math.max(min, Number(exact.value)));
      range.value = String(current);
      onInput(current);
    });
    exact.addEventListener("change", () => show(current));
    show(value);
    return { row: element("div", { className: "widget-slider" }, seen, range, exact), show };
  };

  const button = (text, onClick, properties = {}) => {
    const made = element("button", { type: "button", textContent: text, ...properties });
    made.addEventListener("click", onClick);
    return made;
  };

  const group = (legend, ...children) =>
    element("fieldset", {}, element("legend", { textContent: legend }), ...children);

  // Says what happened: at once to those who see it, and once things rest to those who hear it.
  const announcer = (place) => {
    const seen = element("p", { className: "widget-seen", "aria-hidden": "true" });
    const spoken = element("p", { className: "widget-status", role: "status" });
    place.append(seen, spoken);
    let waiting;
    return (text) => {
      clearTimeout(waiting);
      seen.textContent = text;
      waiting = setTimeout(() => (spoken.textContent = text), 500);
    };
  };

  // Put the living figure before the still one, which stays for print.
  const enliven = (name, build) => {
    const figure = document.getElementById(`widget-${name}`);
    const data = window.LSTM_DATA?.[name];
    if (!figure || !data) return;
    const live = element("div", { className: "widget-live" });
    const still = figure.querySelector(".widget-still");
    build({ data, live, figure });
    still.before(live);
    figure.classList.add("widget-on");
  };

  return {
    argmax, sigmoid, softmax, affine, transposed, heldAt, step, stepBack, RULES, bytes, unpack, unpackAll,
    NAMES, element, shape, number, slider, button, group, announcer, enliven,
  };
})();
