// Watch it remember: an LSTM reads the reader's own sentence or digit, step by step. Each ribbon is
// the memory of one cell; the step under the pointer is taken apart below, where its gates can be held.
// A subject may name the cells shown, each then in a scale of its own, whether one is held alone, the
// state to begin with, and its views; and it is told of every step that is chosen.
"use strict";

LSTM.watch = (() => {
  const { NAMES, argmax, element, shape, button, announcer, number } = LSTM;
  const SHOWN = 8; // cells
  const PARTS = ["f", "i", "g", "o", "c", "h"];
  const VIEWS = {
    memory: "forwards: what it remembers",
    gradient: "backwards: what an error reaches",
    "000": "as article 000 prints it",
    "001": "as article 001 reads f",
    "004": "as articles 001 and 004 say it",
  };
  const WHY = {
    gradient: "Ribbons, wires and lines now carry the gradient of the last answer, from right to left; the bars are what reaches each input.",
    "000": "Article 000 multiplies its output gate by the old h and has no cell. h begins at 0, so it is 0 for ever.",
    "001": "Article 001 calls f the proportion to forget. Then an open gate, near 1, erases: the memory is gone where it was kept.",
    "004": "Articles 001 and 004 leave out the tanh in words. Then nothing bounds h, and the gates that read it shut or open wholly.",
  };

  // What the lines of a step say: the same in symbols, numbers and code. Every number and name in
  // them is a part of the cell; f · c and i · g are parts, too: what is kept, and what is written.
  const term = (part, text) => `<span class="part-${part} widget-${NAMES[part]}">${text}</span>`;
  const times = (...factors) => factors.map((v) => (/^(<[^>]*>)?−/.test(v) ? `(${v})` : v)).join(" · ");
  const sum = (left, right) => `${term("kept", left)} + ${term("written", right)}`;
  const coded = (code) => code.replace(/\b(?:d_)?([figoch])(?:_t)?\b/g, (name, part) => term(part, name));
  const LINES = {
    f: ({ a, f }) => [`σ(${a.f})`, f, "f_t = sigmoid(a_f)"],
    i: ({ a, i }) => [`σ(${a.i})`, i, "i_t = sigmoid(a_i)"],
    g: ({ a, g }) => [`tanh(${a.g})`, g, "g_t = np.tanh(a_g)"],
    o: ({ a, o }) => [`σ(${a.o})`, o, "o_t = sigmoid(a_o)"],
    c: ({ f, i, g, c, before }) => [sum(times(f, before.c), times(i, g)), c, `c_t = ${sum("f_t * c_prev", "i_t * g_t")}`],
    h: ({ o, c, h }) => [times(o, `tanh(${c})`), h, "h_t = o_t * np.tanh(c_t)"],
  };
  const PRINTED = {
    "000": {
      o: ({ a, o, before }) => [times(`σ(${a.o})`, before.h), o, "o_t = sigmoid(a_o) * h_prev"],
      c: ({ c }) => ["there is none", c, "c_t = c_prev"],
      h: ({ f, i, g, o, h, before }) => [`${times(f, before.h)} + ${times(i, g, o)}`, h, "h_t = f_t * h_prev + i_t * g_t * o_t"],
    },
    "001": {
      c: ({ f, i, g, c, before }) => [sum(`(1 − ${f}) · ${times(before.c)}`, times(i, g)), c, `c_t = ${sum("(1 - f_t) * c_prev", "i_t * g_t")}`],
    },
    "004": { h: ({ o, c, h }) => [times(o, c), h, "h_t = o_t * c_t"] },
  };
  // Backwards: what the last answer asks of each part, from below to above.
  const BACK = {
    f: ({ before, d }) => [times(d.c, before.c), d.f, "d_f = d_c * c_prev"],
    i: ({ g, d }) => [times(d.c, g), d.i, "d_i = d_c * g"],
    g: ({ i, d }) => [times(d.c, i), d.g, "d_g = d_c * i"],
    o: ({ c, d }) => [times(d.h, `tanh(${c})`), d.o, "d_o = d_h * np.tanh(c)"],
    c: ({ o, c, d }) => [`${d.next} + ${times(d.h, o)} · (1 − tanh²(${c}))`, d.c, "d_c = d_c_next + d_h * o * (1 - np.tanh(c) ** 2)"],
    h: ({ d }) => (d.isLast
      ? ["the weight of the answer", d.h, "d_h = V[answer]"]
      : ["what the next step asks", d.h, "d_h = U.T @ d_a_next"]),
  };
  const lines = (view) => (view === "gradient" ? BACK : { ...LINES, ...PRINTED[view] });

  const HOW_TO_READ =
    "A ribbon is as wide as one cell’s memory, and hollow below 0; <b class='widget-forget'>bites</b> " +
    "are what the cell forgets, <b class='widget-candidate'>beads</b> what it writes.";
  const HOW_TO_READ_BACK =
    "A ribbon is as wide as the gradient at one cell’s memory, and hollow below 0; " +
    "<b class='widget-forget'>bites</b> are what the forget gate takes from it on its way back.";

  return (subject) => ({ data, live, figure }) => {
    const weights = LSTM.unpackAll(data.weights);
    const H = weights.b.length / 4;
    const task = subject({ data, weights, changed: () => read(), go: (t) => go(t) });
    const views = task.views ?? Object.keys(VIEWS);
    // A page may begin with another view than the memory.
    const first = figure.closest("[data-watch]")?.dataset.watch ?? "memory";
    const now = { t: 0, k: 0, held: {}, scope: "on", view: first };
    let inputs, names, run, plain;

    // ------------------------------------------------------------------------- the numbers
    const isHeld = ({ from, scope }, t) => scope === "all" || (scope === "on" ? t >= from : t === from);
    const zero = { h: new Float64Array(H), c: new Float64Array(H) };
    // What an earlier run has at its beginning in common with this one is taken over.
    const forward = (held, rule, earlier) => {
      let state = task.begin?.() ?? zero;
      return inputs.map((x, t) => {
        const still = Object.entries(held).filter(([, hold]) => isHeld(hold, t));
        const gates = Object.fromEntries(still.map(([gate, { to, k }]) => [gate, task.alone?.() ? { [k]: to } : to]));
        const before = state;
        state = earlier?.[t];
        if (!still.length && state?.x === x && state.before === before) return state;
        state = Object.assign(LSTM.step(weights, x, before.h, before.c, gates, rule), { x, before });
        state.logits = [...LSTM.affine(weights.V, state.h, weights.v)];
        return state;
      });
    };
    // How the last answer (its logit, before sigmoid or softmax) changes with each cell and input.
    const backward = (steps) => {
      const { logits } = steps.at(-1);
      const best = argmax(logits);
      let d_h = weights.V.slice(best * H, (best + 1) * H);
      let d_c = new Float64Array(H);
      for (const made of [...steps].reverse()) {
        [made.d_h, made.d_next] = [d_h, d_c];
        const back = LSTM.stepBack(made, made.before.c, d_h, d_c);
        made.d_c = back.d_cell;
        made.d_x = LSTM.transposed(weights.W, back.d_a, inputs[0].length);
        made.reach = Math.hypot(...made.d_x);
        [d_h, d_c] = [LSTM.transposed(weights.U, back.d_a, H), back.d_c_prev];
      }
    };
    const changed = () => Object.keys(now.held).length > 0 || !["memory", "gradient"].includes(now.view);
    let cells = []; // which are shown

    const compute = () => {
      const backwards = views.includes("gradient"); // then each run has steps of its own
      plain = forward({}, {}, backwards ? null : plain);
      run = changed() ? forward(now.held, LSTM.RULES[now.view], backwards ? null : plain) : plain;
      if (run.length && backwards && !LSTM.RULES[now.view]) [plain, run].forEach(backward);
      if (task.cells) cells = task.cells;
      else if (H > SHOWN && plain.length) {
        const { logits, h } = plain.at(-1);
        const best = argmax(logits);
        const weight = (k) => Math.abs(weights.V[best * H + k] * h[k]);
        const order = [...Array(H).keys()].sort((p, q) => weight(q) - weight(p));
        cells = order.slice(0, SHOWN).sort((p, q) => p - q);
      } else cells = [...Array(Math.min(H, SHOWN)).keys()];
      if (!cells.includes(now.k)) now.k = cells[0];
      figure.run = run; // for those who want the numbers
    };

    // ------------------------------------------------------------------------- the ribbons
    const picture = shape("svg", { class: "watch-run", role: "img" });
    const layout = {};
    const measure = () => {
      const width = scroll.clientWidth || 640;
      const narrow = width < 480;
      const left = narrow ? 14 + 8 * String(Math.max(...cells) + 1).length : 60;
      const column = Math.max(task.column, Math.min(56, (width - left - 26) / Math.max(1, run.length)));
      const row = narrow ? 21 : 25;
      const top = task.headHeight(column) + 6;
      const bottom = top + cells.length * row + 8;
      Object.assign(layout, { narrow, left, column, row, top, bottom });
      layout.width = Math.max(width, left + run.length * column + 26);
      layout.height = bottom + task.answerHeight + 4;
    };
    const x = (t) => layout.left + t * layout.column;
    const y = (n) => layout.top + (n + 0.5) * layout.row;

    // Between the edges of a step a ribbon passes the forget gate, then what is written joins it.
    // Backwards it is the gradient, and the order is the other way round.
    const keeps = (made, k, view) => (view === "001" ? 1 - made.f[k] : made.f[k]);
    const stages = (steps, k, t, view) => {
      const made = steps[t];
      if (view !== "gradient") {
        const left = keeps(made, k, view) * made.before.c[k];
        return [[0.05, made.before.c[k]], [0.4, left], [0.5, left], [0.85, made.c[k]]];
      }
      const left = made.f[k] * made.d_c[k];
      return [[0.05, t ? steps[t - 1].d_c[k] : left], [0.3, left], [0.5, left], [0.85, made.d_c[k]]];
    };

    const edge = (points, middle, side) =>
      points.map(([px, v], n) => {
        const py = middle + (side * v) / 2;
        if (!n) return `${px.toFixed(1)} ${py.toFixed(1)}`;
        const [qx, qv] = points[n - 1];
        const half = ((px + qx) / 2).toFixed(1);
        const qy = (middle + (side * qv) / 2).toFixed(1);
        return `C${half} ${qy} ${half} ${py.toFixed(1)} ${px.toFixed(1)} ${py.toFixed(1)}`;
      }).join("");
    // Where a memory is 0 there is no ribbon: its path is interrupted.
    const band = (points, middle) => {
      const pieces = [];
      points.forEach((point, n) => {
        if (!n || Math.max(point[1], points[n - 1][1]) < 0.1) return;
        if (pieces.at(-1)?.at(-1) !== points[n - 1]) pieces.push([points[n - 1]]);
        pieces.at(-1).push(point);
      });
      return pieces.map((piece) =>
        `M${edge(piece, middle, -1)}L${edge([...piece].reverse(), middle, 1)}Z`).join("");
    };
    const bite = ([[x0, v0], [x1, v1]], middle) =>
      [-1, 1].map((side) =>
        `M${edge([[x0, v0], [x1, v1]], middle, side)}L${x1.toFixed(1)} ${middle + (side * v0) / 2}Z`).join("");

    const draw = () => {
      measure();
      const { left, column, row, bottom, width, height } = layout;
      picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
      picture.setAttribute("width", width);
      picture.setAttribute("height", height);
      const largestOf = (shown) => Math.max(now.view === "gradient" ? 1e-9 : 1, ...[run, plain].flatMap((steps) =>
        steps.flatMap((made) => shown.map((k) => Math.abs(now.view === "gradient" ? made.d_c[k] : made.c[k])))));
      const all = task.cells ? 0 : largestOf(cells); // cells that a subject names have a scale each
      const ghostly = now.view === "gradient" ? "gradient" : "memory";
      const parts = [];
      const add = (name, d, extra = "") => d && parts.push(shape("path", { class: `watch-${name} ${extra}`, d }));
      cells.forEach((k, n) => {
        const middle = y(n);
        const largest = all || largestOf([k]);
        const thick = (v) => (v / largest) * (row - 3);
        const signed = (sign, steps, view) => [[left, 0], ...steps.flatMap((_, t) =>
          stages(steps, k, t, view).map(([at, v]) => [x(t + at), Math.max(0, sign * thick(v))]))];
        const ends = (points) => [...points, [x(run.length) + 14, points.at(-1)[1]]];
        parts.push(shape("path", { class: "watch-axis", d: `M${left} ${middle}H${x(run.length)}` }));
        if (changed()) {
          for (const sign of [1, -1]) add("ghost", band(ends(signed(sign, plain, ghostly)), middle));
        }
        add("ribbon part-c part-kept", band(ends(signed(1, run, now.view)), middle));
        add("ribbon part-c part-kept", band(ends(signed(-1, run, now.view)), middle), "watch-negative");
        let bites = "";
        run.forEach((made, t) => {
          const [first, second, third, fourth] = stages(run, k, t, now.view)
            .map(([at, v]) => [x(t + at), Math.abs(thick(v))]);
          bites += now.view === "gradient" ? bite([fourth, third], middle) : bite([first, second], middle);
          const written = made.i[k] * made.g[k];
          const radius = Math.sqrt(Math.abs(thick(written)) * (row - 3)) / 2.6;
          if (now.view === "gradient" || now.view === "000" || radius < 0.8) return;
          parts.push(shape("circle", {
            class: `watch-drop part-written part-i part-g ${written < 0 ? "watch-negative" : ""}`,
            cx: x(t + 0.66).toFixed(1), cy: middle, r: Math.min(radius, row / 2).toFixed(1),
          }));
        });
        add("bite part-f part-kept", bites);
        const label = shape("text", { class: "watch-label", x: left - 6, y: middle + 4, "text-anchor": "end", "data-cell": k });
        label.append(layout.narrow ? `${k + 1}` : `cell ${k + 1}`);
        parts.push(label);
      });
      const top = bottom;
      parts.push(...(now.view === "gradient" ? reaching(top) : task.answers({ run, plain: changed() ? plain : null, x, top, layout, ...curves(top) })));
      Object.entries(now.held).forEach(([gate, held], n) => run.forEach((_, t) => isHeld(held, t) &&
        parts.push(shape("rect", {
          class: `watch-held part-${gate} widget-${NAMES[gate]}`,
          x: x(t), y: layout.top - 4 - 5 * n, width: column, height: 3.5,
        }))));
      const marker = shape("rect", { class: "watch-marker", y: 0, height, width: column });
      picture.replaceChildren(marker, ...task.head({ names, x, layout }), ...parts);
      range.max = String(Math.max(1, run.length));
      range.style.marginInlineStart = `${left + column / 2 - 10}px`;
      range.style.width = `${(run.length - 1) * column + 20}px`;
      select();
    };
    // For answers that are a share of 1: how high it stands, its curve over steps, a word beside it.
    const curves = (top) => {
      const height = (share) => top + 2 + (1 - share) * (task.answerHeight - 8);
      return {
        height,
        curve: (steps, share) => steps.map((made, t) => `${t ? "L" : "M"}${x(t + 0.85).toFixed(1)} ${height(share(made)).toFixed(1)}`).join(""),
        label: (share, words) => shape("text", { class: "watch-label", x: layout.left - 6, y: height(share) + 4, "text-anchor": "end" }, words),
      };
    };
    // In the place of the answers: how far an error at the end reaches.
    const reaching = (top) => {
      const largest = Math.max(1e-9, ...run.map((made) => made.reach));
      const high = task.answerHeight - 6;
      return [
        ...run.map((made, t) => shape("rect", {
          class: "watch-reach", x: x(t + 0.15), width: layout.column * 0.7,
          y: top + high - (made.reach / largest) * high, height: (made.reach / largest) * high,
        })),
        shape("path", { class: "watch-axis", d: `M${layout.left} ${top + high}H${x(run.length)}` }),
      ];
    };

    // ------------------------------------------------------------------ one step, taken apart
    const rows = Object.fromEntries(PARTS.map((part) => {
      const sum = element("span", { className: "watch-sum" });
      const code = element("code");
      const row = element("li", { className: `watch-line part-${part} widget-${NAMES[part]}` }, sum, code);
      if ("fio".includes(part)) {
        for (const [to, word] of [[1, "open"], [0, "shut"]]) {
          row.append(button(word, () => hold(part, to), { "aria-label": `hold the ${NAMES[part]} gate ${word}`, dataset: { hold: part, to } }));
        }
      } else row.tabIndex = 0;
      return [part, { row, sum, code }];
    }));
    const diagram = LSTM.cellDrawing();
    const isOf = (hold) => !task.alone?.() || hold?.k === now.k; // the chosen cell
    const hold = (gate, to) => {
      if (now.held[gate]?.to === to && isOf(now.held[gate])) delete now.held[gate];
      else now.held[gate] = { to, from: now.t, scope: now.scope, k: now.k };
      update();
    };

    const select = () => {
      const made = run[now.t];
      const n = cells.indexOf(now.k);
      for (const label of picture.querySelectorAll("[data-cell], [data-step]")) {
        const { cell, step } = label.dataset;
        label.classList.toggle("watch-chosen", Number(cell ?? -1) === now.k || Number(step ?? -1) === now.t);
      }
      const marker = picture.querySelector(".watch-marker");
      marker.setAttribute("x", x(now.t));
      marker.setAttribute("visibility", made ? "visible" : "hidden");
      range.value = String(now.t + 1);
      range.setAttribute("aria-valuetext", made ? names[now.t] : "nothing read");
      cell.value = String(now.k);
      live.classList.toggle("watch-empty", !made);
      for (const press of live.querySelectorAll("[data-hold]")) {
        press.setAttribute("aria-pressed", String(isOf(now.held[press.dataset.hold]) && now.held[press.dataset.hold]?.to === Number(press.dataset.to)));
      }
      why.textContent = WHY[now.view] ?? "";
      if (!made) return say(task.empty);
      const k = now.k;
      const digits = (v) => number(v, 2);
      const said = values(made, k);
      const line = lines(now.view);
      for (const part of PARTS) {
        const to = LSTM.heldAt(made.held, part, k);
        const isHeld = to !== undefined;
        const [sum, value, code] = isHeld ? ["held", to, `${part}_t = ${to}`] : line[part](said);
        const name = now.view === "gradient" && !isHeld ? `<span class="watch-bar">${part}</span>` : part;
        rows[part].sum.innerHTML = `<var>${name}<sub>t</sub></var> = ${sum} = <b>${value}</b>`;
        rows[part].code.innerHTML = coded(code);
        rows[part].row.classList.toggle("watch-printed", PRINTED[now.view]?.[part] !== undefined);
      }
      for (const product of rows.c.sum.querySelectorAll(".part-kept, .part-written")) product.tabIndex = 0;
      diagram.show(...carried(made, k));
      task.show?.({ run, plain, k, t: now.t });
      relight();
      if (now.view === "gradient") {
        return say(`Gradient of the last answer that arrives at ${names[now.t]}: ${number(made.reach, 3)}.`);
      }
      const memory = now.view === "000"
        ? "It has no memory cell."
        : `Cell ${k + 1} keeps ${Math.round(100 * keeps(made, k, now.view))}% of ${digits(made.before.c[k])}, adds ${digits(made.i[k] * made.g[k])}: ${digits(made.c[k])}.`;
      say(`${task.verdict(names[now.t], made.logits, plain[now.t].logits)} ${memory}`);
    };
    // What one cell of a step asks of its parts, on the way back.
    const asked = (made, k) => {
      const [d_c, d_h, tanh] = [made.d_c[k], made.d_h[k], Math.tanh(made.c[k])];
      return {
        c: d_c, h: d_h, next: made.d_next[k], shown: d_h * made.o[k] * (1 - tanh ** 2),
        f: d_c * made.before.c[k], i: d_c * made.g[k], g: d_c * made.i[k], o: d_h * tanh,
      };
    };
    // The numbers of one cell as its lines show them, each marked as the part that it is.
    const values = (made, k) => {
      const said = Object.fromEntries(PARTS.map((part) => [part, term(part, number(made[part][k], 2))]));
      said.a = Object.fromEntries([..."ifgo"].map((gate, at) => [gate, number(made.a[at * H + k], 2)]));
      said.before = { c: number(made.before.c[k], 2), h: number(made.before.h[k], 2) };
      if (now.view === "gradient") {
        const d = Object.entries(asked(made, k)).map(([part, v]) => [part, term(part, number(v, 3))]);
        said.d = { ...Object.fromEntries(d), isLast: made === run.at(-1) };
      }
      return said;
    };
    // The numbers at the wires of the drawing, with their digits and the largest of them.
    const carried = (made, k) => {
      const [f, i, g, o, c, h] = PARTS.map((part) => made[part][k]);
      if (now.view !== "gradient") {
        const before = made.before.c[k];
        return [{ before, kept: keeps(made, k, now.view) * before, f, i, g, written: i * g, o, c, after: c, shown: c, h }, 2, 1];
      }
      const d = asked(made, k);
      const numbers = { ...d, before: f * d.c, kept: d.c, written: d.c, c: d.next, after: d.next };
      return [numbers, 2, Math.max(1e-9, ...Object.values(numbers).map(Math.abs))];
    };

    // -------------------------------------------------------------------------- the controls
    const range = element("input", { type: "range", min: "1", step: "1", className: "watch-range", "aria-label": "Step" });
    const scroll = element("div", { className: "watch-scroll" }, picture, range);
    const go = (t) => {
      now.t = Math.max(0, Math.min(run.length - 1, t));
      select();
      if (scroll.scrollWidth > scroll.clientWidth) {
        scroll.scrollLeft = x(now.t + 0.5) - scroll.clientWidth / 2;
      }
    };
    range.addEventListener("input", () => {
      stop();
      go(Number(range.value) - 1);
    });
    const point = ({ clientX, clientY }) => {
      const box = picture.getBoundingClientRect();
      const n = Math.floor((clientY - box.top - layout.top) / layout.row);
      if (n >= 0 && n < cells.length) now.k = cells[n];
      now.t = Math.max(0, Math.min(run.length - 1, Math.floor((clientX - box.left - layout.left) / layout.column)));
      stop();
      select();
    };
    picture.addEventListener("pointerdown", point);
    picture.addEventListener("pointermove", (event) => (event.buttons || event.pointerType === "mouse") && run.length && point(event));

    let timer = null;
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    };
    const play = button("Play", () => {
      if (timer) return stop();
      if (!run.length) return;
      if (now.t >= run.length - 1) go(0);
      play.textContent = "Pause";
      timer = setInterval(() => {
        go(now.t + 1);
        if (now.t === run.length - 1) stop();
      }, task.pace);
    });

    const choose = (label, options, value, onChange) => {
      const made = element("select", { id: `watch-${label.split(" ")[0].toLowerCase()}` });
      for (const [key, words] of options) made.append(element("option", { value: key, textContent: words }));
      made.value = value;
      made.addEventListener("change", () => onChange(made.value));
      return [element("span", {}, element("label", { htmlFor: made.id, textContent: label }), " ", made), made];
    };
    const [viewField, view] = choose("Show it", views.map((key) => [key, VIEWS[key]]), now.view, (value) => {
      now.view = value;
      update();
    });
    const scopes = [["on", "from this step on"], ["one", "at this step only"], ["all", "at every step"]];
    const [scopeField] = choose("Hold", scopes, now.scope, (value) => {
      now.scope = value;
      for (const gate of Object.keys(now.held)) now.held[gate].scope = value;
      update();
    });
    const [cellField, cell] = choose("Cell", [], "", (value) => {
      now.k = Number(value);
      select();
    });
    const reset = button("Reset", () => {
      Object.assign(now, { held: {}, view: "memory" });
      view.value = "memory";
      update();
    });

    const update = () => {
      compute();
      live.dataset.view = now.view;
      guide.innerHTML = now.view === "gradient" ? HOW_TO_READ_BACK : HOW_TO_READ;
      reset.disabled = !changed() && now.view === "memory";
      cell.replaceChildren(...cells.map((k) => element("option", { value: k, textContent: k + 1 })));
      picture.setAttribute("aria-label", `${cells.length} ribbons, one for each cell shown, over ${run.length} steps`);
      draw();
    };
    const read = () => {
      stop();
      ({ inputs, names } = task.read());
      now.t = 0;
      now.held = {};
      update();
      if (run.length) {
        now.t = Math.min(run.length - 1, Math.max(0, task.start(run)));
        const { i, g } = run[now.t];
        now.k = task.cells?.[0] ?? cells.reduce((best, k) => (Math.abs(i[k] * g[k]) > Math.abs(i[best] * g[best]) ? k : best));
      }
      go(now.t);
    };

    // Hover or focus: the same part is lit in line, wire, ribbon and code.
    const relight = () => {
      for (const lit of live.querySelectorAll(`.part-${live.dataset.lit}`)) lit.classList.add("watch-lit");
    };
    const light = (part) => {
      for (const lit of live.querySelectorAll(".watch-lit")) lit.classList.remove("watch-lit");
      if (part) live.dataset.lit = part;
      else delete live.dataset.lit;
      relight();
    };
    const partAt = ({ target }) => /\bpart-(\w+)/.exec(target.closest?.("[class*=part-]")?.getAttribute("class"))?.[1];
    for (const event of ["pointerover", "focusin"]) live.addEventListener(event, (at) => light(partAt(at)));
    live.addEventListener("pointerleave", () => light());
    diagram.svg.addEventListener("click", ({ target }) => {
      const gate = target.closest("[data-gate]")?.dataset.gate;
      if (gate) hold(gate, now.held[gate] && isOf(now.held[gate]) ? 1 - now.held[gate].to : 0);
    });

    const guide = element("p", { className: "widget-hint" });
    const why = element("p", { className: "watch-why" });
    live.classList.add("watch");
    live.append(
      task.controls,
      guide,
      scroll,
      element("div", { className: "watch-says" }),
      why,
      element("div", { className: "watch-step" }, diagram.svg,
        element("ol", { className: "watch-lines" }, ...PARTS.map((part) => rows[part].row))),
      element("div", { className: "widget-buttons" }, play, cellField, ...(views.length > 1 ? [viewField] : []), scopeField, reset),
    );
    const say = announcer(live.querySelector(".watch-says"));
    read();
    let placed = false; // what the numbers tell must be in view as soon as there is a view
    new ResizeObserver(() => {
      if (!scroll.clientWidth) return;
      update();
      if (!placed) go(now.t);
      placed = true;
    }).observe(live);
  };
})();
