// Gradient through time (chapter on what the LSTM solves): what arrives of an error, in an RNN and in an LSTM.
"use strict";

LSTM.enliven("gradient", ({ data, live }) => {
  const { element, shape, slider, group, announcer, number } = LSTM;
  const D = 4;
  const H = 16;
  const networks = data.networks.map((network) => ({
    x: LSTM.unpack(network.x),
    v: LSTM.unpack(network.v),
    lstm: LSTM.unpackAll(network.lstm),
    rnn: LSTM.unpackAll(network.rnn),
  }));
  const now = { ...data.start, clip: false, largest: 1 };

  // ------------------------------------------------------------------------ back through time
  const addOuter = (M, d, x) => {
    for (let row = 0, at = 0; row < d.length; row++) {
      for (let column = 0; column < x.length; column++, at++) M[at] += d[row] * x[column];
    }
  };
  const square = (...arrays) => {
    let sum = 0;
    for (const array of arrays) for (const value of array) sum += value * value;
    return sum;
  };

  // Returns the norm that arrives 0, 1, ... steps back, and that of the gradient of W, U and b.
  const backward = (kind, network) => {
    const { W, b: given } = network[kind];
    const U = network[kind].U.map((value) => value * now.scale);
    const b = Float64Array.from(given);
    if (kind === "lstm") b.fill(now.bias, H, 2 * H);
    const tape = [];
    let h = new Float64Array(H);
    let c = new Float64Array(H);
    for (let t = 0; t < now.steps; t++) {
      const x = network.x.subarray(t * D, (t + 1) * D);
      const before = { x, h, c };
      if (kind === "lstm") {
        const made = LSTM.step({ W, U, b }, x, h, c);
        tape.push({ ...before, made });
        ({ h, c } = made);
      } else {
        h = LSTM.affine(U, h, LSTM.affine(W, x, b)).map(Math.tanh);
        tape.push({ ...before, made: { h } });
      }
    }
    const rows = b.length;
    const grads = [new Float64Array(rows * D), new Float64Array(rows * H), new Float64Array(rows)];
    const norms = [];
    let d_h = Float64Array.from(network.v);
    let d_c = new Float64Array(H);
    for (const { x, h: h_prev, c: c_prev, made } of tape.reverse()) {
      norms.push(Math.sqrt(square(d_h, d_c)));
      let d_a;
      if (kind === "rnn") d_a = made.h.map((h, k) => d_h[k] * (1 - h ** 2));
      else ({ d_a, d_c_prev: d_c } = LSTM.stepBack(made, c_prev, d_h, d_c));
      addOuter(grads[0], d_a, x);
      addOuter(grads[1], d_a, h_prev);
      d_a.forEach((value, k) => (grads[2][k] += value));
      d_h = LSTM.transposed(U, d_a, H);
    }
    return { norms, weights: Math.sqrt(square(...grads)) };
  };

  // ------------------------------------------------------------------------------ the figure
  const WIDTH = 640;
  const HEIGHT = 380;
  const [LEFT, RIGHT, TOP, BOTTOM] = [116, 12, 14, 58];
  const [low, high] = data.range;
  const toY = (power) => TOP + ((high - power) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const toX = (back) => LEFT + (back / Math.max(1, now.steps - 1)) * (WIDTH - LEFT - RIGHT);
  const text = (x, y, anchor, ...content) =>
    shape("text", { x, y, "text-anchor": anchor }, ...content);
  const curves = shape("g", { "clip-path": "url(#widget-gradient-inside)" });
  const inside = shape(
    "clipPath",
    { id: "widget-gradient-inside" },
    shape("rect", { x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM }),
  );
  const axis = shape("g", {});
  const plot = shape(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "widget-plot",
      "aria-label": "Norm of the gradient against steps back, on a logarithmic axis" },
    inside,
    axis,
    curves,
  );

  const drawAxis = () => {
    axis.replaceChildren();
    for (let power = low; power <= high; power += 8) {
      const y = toY(power);
      axis.append(shape("path", { class: "widget-grid", d: `M${LEFT} ${y}H${WIDTH - RIGHT}` }));
      const label = text(LEFT - 8, y + 5, "end", "10");
      const raised = String(power).replace("-", "−");
      label.append(shape("tspan", { class: "widget-power", dy: -6 }, raised));
      axis.append(label);
    }
    const every = now.steps > 150 ? 50 : now.steps > 60 ? 20 : 10;
    for (let back = 0; back < now.steps; back += every) {
      const x = toX(back);
      axis.append(shape("path", { class: "widget-grid", d: `M${x} ${TOP}V${HEIGHT - BOTTOM}` }));
      axis.append(text(x, HEIGHT - BOTTOM + 24, "middle", String(back)));
    }
    axis.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", "steps back"));
    const upright = text(0, 0, "middle", "norm of the gradient");
    upright.setAttribute("transform", `translate(22 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`);
    axis.append(upright);
  };

  const path = (norms) =>
    norms
      .map((norm, back) => {
        const y = toY(Math.log10(Math.max(norm, 1e-300)));
        return `${back ? "L" : "M"}${toX(back).toFixed(1)} ${y.toFixed(1)}`;
      })
      .join("");
  const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[(sorted.length - 1) / 2];
  };
  const scientific = (value) => {
    if (value === 0) return "0";
    const [digits, power] = value.toExponential(1).split("e");
    if (Math.abs(power) < 3) return number(value, 3);
    const raised = (letter) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(letter)];
    return `${digits} · 10${[...String(Number(power))].map(raised).join("")}`;
  };

  const show = () => {
    drawAxis();
    curves.replaceChildren();
    const found = {};
    for (const kind of ["lstm", "rnn"]) {
      const runs = networks.map((network) => backward(kind, network));
      const largest = now.clip ? now.largest : Infinity;
      const factors = runs.map(({ weights }) => Math.min(1, largest / weights));
      const scaled = runs.map(({ norms }, n) => norms.map((norm) => norm * factors[n]));
      const middle = scaled[0].map((_, back) => median(scaled.map((norms) => norms[back])));
      const draw = (norms, role) =>
        curves.append(shape("path", { class: `widget-${role} widget-${kind}`, d: path(norms) }));
      for (const norms of scaled) draw(norms, "run");
      draw(middle, "median");
      found[kind] = { last: middle.at(-1), clipped: factors.filter((factor) => factor < 1).length };
      live.dataset[kind] = JSON.stringify({ norms: scaled, factors });
    }
    const words = (kind) => {
      const { last, clipped } = found[kind];
      const how = now.clip && clipped ? ` (${clipped} of ${networks.length} clipped)` : "";
      return `${kind.toUpperCase()} ${scientific(last)}${how}`;
    };
    say(`${now.steps - 1} steps back arrives, in the median: ${words("lstm")}, ${words("rnn")}.`);
  };

  // --------------------------------------------------------------------------- the controls
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      show();
    });
  };
  const add = (key, label, name, min, max, step) =>
    slider({
      label, name, min, max, step, value: now[key],
      onInput: (value) => {
        now[key] = key === "steps" ? Math.round(value) : value;
        later();
      },
    }).row;
  const box = element("input", { type: "checkbox", id: "widget-gradient-clip" });
  box.addEventListener("change", () => {
    now.clip = box.checked;
    later();
  });
  const key = (kind, words) =>
    element("span", { className: `widget-key widget-${kind}` }, element("span", {}), words);

  live.append(
    element("p", { className: "widget-keys" }, key("lstm", "LSTM"), key("rnn", "RNN")),
    plot,
    element(
      "div",
      { className: "widget-columns" },
      group(
        "The networks",
        add("steps", "steps <var>T</var>", "steps T", 10, data.longest, 10),
        add("bias", "forget bias", "forget bias of the LSTM", -2, 8, 0.5),
        add("scale", "scale of <var>U</var>", "scale of U, the recurrent weights", 0, 5, 0.1),
      ),
      group(
        "The gradient",
        element("div", { className: "widget-check" }, box,
          element("label", { htmlFor: box.id, textContent: "clip its norm" })),
        add("largest", "at most", "at most: norm after clipping", 0.01, 2, 0.01),
      ),
    ),
  );
  const say = announcer(live);
  show();
});
