// The cell (chapter on gates): one step with two inputs and two cells, every number in reach.
"use strict";

LSTM.enliven("cell", ({ data, live, still }) => {
  const { element, slider, button, group, choice, announcer, number, step } = LSTM;
  const letters = Object.keys(data.gates);
  const copy = (value) => JSON.parse(JSON.stringify(value));
  let now = copy(data.start);
  let gate = "f";
  let cell = 0;

  // ---------------------------------------------------------------------------- the numbers
  const compute = () => {
    const stacked = (name) => letters.flatMap((k) => now[name][k].flat());
    const weights = { W: stacked("W"), U: stacked("U"), b: stacked("b") };
    const { a, i, f, g, o, c, h } = step(weights, now.x, now.h, now.c);
    const values = { i_t: i, f_t: f, g_t: g, o_t: o, c_t: c, h_t: h };
    letters.forEach((k, n) => (values[`a_${k}`] = [a[2 * n], a[2 * n + 1]]));
    values.kept = f.map((value, n) => value * now.c[n]);
    values.written = i.map((value, n) => value * g[n]);
    values.tanh = c.map(Math.tanh);
    return values;
  };

  const show = ({ light = true } = {}) => {
    const values = compute();
    for (const place of still.querySelectorAll("[data-key]")) {
      const value = values[place.dataset.key][place.dataset.cell];
      const text = number(value, 6);
      place.classList.toggle("widget-lit", light && text !== place.textContent);
      if (text !== place.textContent) place.textContent = text;
      place.dataset.value = value;
      const end = Math.max(-1, Math.min(1, value));
      place.style.setProperty("--from", `${50 + 50 * Math.min(end, 0)}%`);
      place.style.setProperty("--to", `${50 + 50 * Math.max(end, 0)}%`);
    }
    for (const row of still.querySelectorAll("[data-row]")) {
      row.classList.toggle("widget-lit", row.querySelector("td.widget-lit") !== null);
    }
    write(values);
    const pair = (key) => values[key].map((value) => number(value, 2)).join(" and ");
    say(`Cell state ${pair("c_t")}, hidden state ${pair("h_t")}.`);
  };

  // ------------------------------------------------------------------- the lines, written out
  const short = (value) => number(Number(value.toFixed(4)), 4).replace(/\.?0+$/, "");
  const factor = (value) => (value < 0 ? `(${short(value)})` : short(value));
  const product = (a, b) => `${factor(a)} · ${factor(b)}`;
  const symbol = (letter, index) => `<var>${letter}<sub>${index}</sub></var>`;

  const write = (values) => {
    const [w, u, b] = [now.W[gate][cell], now.U[gate][cell], now.b[gate][cell]];
    const sum = [
      ...w.map((value, n) => product(value, now.x[n])),
      ...u.map((value, n) => product(value, now.h[n])),
    ];
    const at = (key) => number(values[key][cell], 6);
    const name = gate === "g" ? "tanh" : "σ";
    const line = (color, left, right, key) =>
      `<p class="widget-${color}"><b>${left}</b> = ${right} = <b>${at(key)}</b></p>`;
    written.innerHTML = [
      line(data.gates[gate], symbol("a", gate), [...sum, factor(b)].join(" + "), `a_${gate}`),
      line(data.gates[gate], symbol(gate, "t"), `${name}(${at(`a_${gate}`)})`, `${gate}_t`),
      line("cell", symbol("c", "t"),
        `${at("f_t")} · ${factor(now.c[cell])} + ${at("i_t")} · ${at("g_t")}`, "c_t"),
      line("hidden", symbol("h", "t"), `${at("o_t")} · tanh(${at("c_t")})`, "h_t"),
    ].join("");
  };

  // --------------------------------------------------------------------------- the controls
  const shown = []; // [slider, where its value is]
  const add = (label, name, limits, get, set, className = "") => {
    const made = slider({
      label, name, ...limits, value: get(),
      onInput: (value) => {
        set(value);
        show();
      },
    });
    if (className) made.row.classList.add(className);
    shown.push([made, get]);
    return made.row;
  };
  const refresh = (options) => {
    for (const [made, get] of shown) made.show(get());
    show(options);
  };

  const limits = {
    x: { min: -3, max: 3, step: 0.1 },
    h: { min: -1, max: 1, step: 0.05 },
    c: { min: -3, max: 3, step: 0.1 },
    weight: { min: -3, max: 3, step: 0.1 },
    bias: { min: -8, max: 8, step: 0.1 },
  };
  const sub = (letter, index, time) => `<var>${letter}<sub>${time}</sub></var>, ${index}`;
  const states = [
    ["x", "t", "what is read"],
    ["h", "t−1", "hidden state"],
    ["c", "t−1", "cell state"],
  ].flatMap(([key, time, words]) =>
    [0, 1].map((n) =>
      add(sub(key, n + 1, time), `${key} ${time}, ${n + 1}: ${words}`, limits[key],
        () => now[key][n], (value) => (now[key][n] = value), `widget-${words.split(" ")[0]}`)));

  const parameters = [
    ...[0, 1].map((n) =>
      add(`times <var>x</var>, ${n + 1}`, `times x, ${n + 1}: weight`, limits.weight,
        () => now.W[gate][cell][n], (value) => (now.W[gate][cell][n] = value))),
    ...[0, 1].map((n) =>
      add(`times <var>h</var>, ${n + 1}`, `times h, ${n + 1}: weight`, limits.weight,
        () => now.U[gate][cell][n], (value) => (now.U[gate][cell][n] = value))),
    add("bias", "bias", limits.bias,
      () => now.b[gate][cell], (value) => (now.b[gate][cell] = value)),
  ];

  const pick = () => {
    weights.className = `widget-${data.gates[gate]}`;
    refresh({ light: false });
  };
  const gates = letters.map((k) => ({
    value: k,
    label: `${data.gates[k]} ${symbol(k, "")}`,
    className: `widget-${data.gates[k]}`,
  }));
  const cells = ["1", "2"].map((value) => ({ value, label: value }));

  const setting = (forget, input) => () => {
    for (const n of [0, 1]) {
      now.b.f[n] = forget;
      now.b.i[n] = input;
    }
    refresh();
  };

  const weights = group("Its weights", ...parameters);
  const written = element("div", { className: "widget-written" });
  live.append(
    element(
      "div",
      { className: "widget-columns" },
      group("What comes in", ...states),
      element(
        "div",
        {},
        choice("Gate", gates, gate, (value) => {
          gate = value;
          pick();
        }),
        choice("Cell", cells, "1", (value) => {
          cell = Number(value) - 1;
          pick();
        }),
        weights,
      ),
    ),
    element(
      "div",
      { className: "widget-buttons" },
      button("Worked example", () => {
        now = copy(data.start);
        refresh();
      }),
      button("Keep", setting(8, -8)),
      button("Overwrite", setting(-8, 8)),
      button("Clear", setting(-8, -8)),
      button("Add", setting(8, 8)),
      button("Feed back", () => {
        const { h_t, c_t } = compute();
        now.h = [...h_t];
        now.c = [...c_t];
        refresh();
      }),
    ),
    written,
  );
  const say = announcer(live);
  pick();
});
