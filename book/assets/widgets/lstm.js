// What all interactive figures share: the LSTM's forward pass, packed weights, and a few controls.
// No module and no fetch: browsers refuse both to pages that were opened as files.
window.LSTM = (() => {
  "use strict";

  // ------------------------------------------------------------------------------ mathematics
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
      for (let column = 0; column < x.length; column++, at++) sums[row] += M[at] * x[column];
    }
    return sums;
  };

  // One step. weights: W (4H, D), U (4H, H), b (4H), gate order i, f, g, o, all flat.
  const step = ({ W, U, b }, x, h, c) => {
    const H = h.length;
    const a = affine(U, h, affine(W, x, b));
    const made = { a, i: [], f: [], g: [], o: [], c: [], h: [] };
    for (let k = 0; k < H; k++) {
      const i = sigmoid(a[k]);
      const f = sigmoid(a[H + k]);
      const g = Math.tanh(a[2 * H + k]);
      const o = sigmoid(a[3 * H + k]);
      const cell = f * c[k] + i * g;
      made.i.push(i);
      made.f.push(f);
      made.g.push(g);
      made.o.push(o);
      made.c.push(cell);
      made.h.push(o * Math.tanh(cell));
    }
    return made;
  };

  // The logits after every step: V h_t + v.
  const read = (weights, inputs) => {
    const H = weights.b.length / 4;
    let state = { h: new Float64Array(H), c: new Float64Array(H) };
    return inputs.map((x) => {
      state = step(weights, x, state.h, state.c);
      return [...affine(weights.V, state.h, weights.v)];
    });
  };

  // ------------------------------------------------------------------------------ packed data
  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  // Little-endian integers times a power of two: lstm/export/files.py.
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
    const show = (next) => {
      range.value = String(next);
      exact.value = String(Number(next.toFixed(4)));
    };
    range.addEventListener("input", () => {
      exact.value = range.value;
      onInput(Number(range.value));
    });
    exact.addEventListener("input", () => {
      if (exact.value.trim() === "" || !Number.isFinite(Number(exact.value))) return;
      const next = Math.min(max, Math.max(min, Number(exact.value)));
      range.value = String(next);
      onInput(next);
    });
    exact.addEventListener("change", () => show(Number(range.value)));
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

  // One of several, as radio buttons: arrow keys move between them.
  const choice = (legend, options, chosen, onChange) => {
    const name = `widget-choice-${++fields}`;
    const labels = options.map(({ value, label, className = "" }) => {
      const radio = element("input", { type: "radio", name, value, checked: value === chosen });
      radio.addEventListener("change", () => onChange(value));
      return element("label", { className }, radio, element("span", { innerHTML: label }));
    });
    return element(
      "fieldset",
      { className: "widget-choice" },
      element("legend", { textContent: legend }),
      ...labels,
    );
  };

  // Says what happened, once things have come to rest, to those who cannot see it.
  const announcer = (place) => {
    const spoken = element("p", { className: "widget-status", role: "status" });
    place.append(spoken);
    let waiting;
    return (text, wait = 500) => {
      clearTimeout(waiting);
      if (!wait) spoken.textContent = text;
      else waiting = setTimeout(() => (spoken.textContent = text), wait);
    };
  };

  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  // Put the living figure before the still one, which stays for print.
  const enliven = (name, build) => {
    const figure = document.getElementById(`widget-${name}`);
    const data = window.LSTM_DATA?.[name];
    if (!figure || !data) return;
    const live = element("div", { className: "widget-live" });
    const still = figure.querySelector(".widget-still");
    build({ data, live, still, figure });
    still.before(live);
    figure.classList.add("widget-on");
  };

  return {
    sigmoid, softmax, affine, step, read, bytes, unpack, unpackAll,
    element, shape, number, slider, button, group, choice, announcer, calm, enliven,
  };
})();
