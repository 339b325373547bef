// The reader of digits (chapter on digits): draw one, and watch the LSTM's opinion row by row.
"use strict";

LSTM.enliven("digits", ({ data, live }) => {
  const { element, shape, button, group, announcer, number, softmax } = LSTM;
  const SIZE = 28;
  const CLASSES = 10;
  const weights = LSTM.unpackAll(data.weights);
  const examples = data.images.map((text) => Array.from(LSTM.bytes(text), (ink) => ink / 255));

  let pixels = examples[data.shown];
  let beliefs = []; // after every row, the probability of each class
  let row = SIZE; // rows read so far

  const look = (image) => {
    pixels = image;
    const rows = Array.from({ length: SIZE }, (_, t) => image.slice(t * SIZE, (t + 1) * SIZE));
    beliefs = LSTM.read(weights, rows).map(softmax);
  };

  // ---------------------------------------------------------------------------- the pictures
  const squares = (columns) =>
    Array.from({ length: SIZE * columns }, (_, n) =>
      shape("rect", { x: n % columns, y: Math.floor(n / columns), width: 1, height: 1 }));
  const panel = (columns, label, ...parts) =>
    shape(
      "svg",
      { viewBox: `0 0 ${columns} ${SIZE}`, preserveAspectRatio: "none", role: "img",
        "aria-label": label, "shape-rendering": "crispEdges" },
      ...parts,
    );

  const ink = squares(SIZE);
  const marker = shape("rect", { class: "widget-row", x: 0, width: SIZE, height: 1 });
  const stroke = shape("g", { class: "widget-stroke" });
  const subject = "The digit that is read, 28 rows of 28 pixels";
  const picture = panel(SIZE, subject, ...ink, marker, stroke);
  picture.classList.add("widget-picture");
  const shades = squares(CLASSES);
  const history = panel(CLASSES, "Probability of each class after each row", ...shades);
  history.classList.add("widget-history", "widget-cell");

  const names = element("div", { className: "widget-classes", "aria-hidden": "true" });
  for (let digit = 0; digit < CLASSES; digit++) {
    names.append(element("span", { textContent: digit }));
  }

  const bars = Array.from({ length: CLASSES }, (_, digit) => {
    const bar = element("span", { className: "widget-bar" });
    const share = element("span", { className: "widget-share" });
    const item = element("li", {}, bar, element("b", { textContent: digit }), share);
    return { item, bar, share };
  });

  const show = () => {
    ink.forEach((square, n) => square.setAttribute("fill-opacity", pixels[n].toFixed(3)));
    shades.forEach((square, n) => {
      const t = Math.floor(n / CLASSES);
      square.setAttribute("fill-opacity", t < row ? beliefs[t][n % CLASSES].toFixed(3) : 0);
    });
    marker.setAttribute("y", Math.max(0, row - 1));
    marker.setAttribute("visibility", row ? "visible" : "hidden");
    const now = row ? beliefs[row - 1] : Array(CLASSES).fill(1 / CLASSES);
    const best = now.indexOf(Math.max(...now));
    bars.forEach(({ item, bar, share }, digit) => {
      item.dataset.value = now[digit];
      item.classList.toggle("widget-best", row > 0 && digit === best);
      bar.style.setProperty("--share", now[digit]);
      share.textContent = `${Math.round(100 * now[digit])}%`;
    });
    progress.value = String(row);
    progress.setAttribute("aria-valuetext", `${row} of ${SIZE} rows`);
    next.disabled = row === SIZE;
    const order = now.map((p, digit) => [p, digit]).sort((a, b) => b[0] - a[0]);
    const [first, second] = order.map(([p, digit]) => `${digit} (${number(100 * p, 0)}%)`);
    say(row ? `After row ${row} of ${SIZE}: ${first}, then ${second}.` : "Nothing is read yet.",
      timer ? 1000 : 300);
  };

  // ----------------------------------------------------------------------------- reading
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  const go = (to) => {
    row = Math.max(0, Math.min(SIZE, to));
    if (row === SIZE) stop();
    show();
  };
  const start = () => {
    stop();
    if (LSTM.calm()) return go(SIZE);
    row = 0;
    timer = setInterval(() => go(row + 1), 120);
    play.textContent = "Pause";
    show();
  };

  const play = button("Play", () => {
    if (!timer) return start();
    stop();
    show();
  });
  const next = button("Next row", () => {
    stop();
    go(row + 1);
  });
  const progress = element("input", {
    type: "range", id: "widget-digits-row", min: "0", max: String(SIZE), step: "1",
  });
  progress.addEventListener("input", () => {
    stop();
    go(Number(progress.value));
  });

  // ----------------------------------------------------------------------------- drawing
  // Strokes are lists of points in units of the picture. As in MNIST, what was drawn is scaled to
  // 20 pixels and moved until its centre of mass is in the middle.
  let strokes = [];
  const draw = (context, scale, dx, dy) => {
    context.clearRect(0, 0, SIZE, SIZE);
    context.lineWidth = 2.3;
    context.lineCap = context.lineJoin = "round";
    for (const points of strokes) {
      context.beginPath();
      // The first point twice: a line from it to itself is a dot.
      for (const [x, y] of [points[0], ...points]) context.lineTo(x * scale + dx, y * scale + dy);
      context.stroke();
    }
    const content = context.getImageData(0, 0, SIZE, SIZE).data;
    return Array.from({ length: SIZE * SIZE }, (_, n) => content[4 * n + 3] / 255);
  };
  const rasterise = () => {
    const canvas = element("canvas", { width: SIZE, height: SIZE });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const scale = 18 / Math.max(right - left, bottom - top, 6);
    const dx = SIZE / 2 - (scale * (left + right)) / 2;
    const dy = SIZE / 2 - (scale * (top + bottom)) / 2;
    const image = draw(context, scale, dx, dy);
    const total = image.reduce((sum, p) => sum + p, 0);
    const x = image.reduce((sum, p, n) => sum + p * ((n % SIZE) + 0.5), 0) / total;
    const y = image.reduce((sum, p, n) => sum + p * (Math.floor(n / SIZE) + 0.5), 0) / total;
    return draw(context, scale, dx + SIZE / 2 - x, dy + SIZE / 2 - y);
  };

  const at = (event) => {
    const box = picture.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * SIZE,
      ((event.clientY - box.top) / box.height) * SIZE,
    ];
  };
  let line = null;
  const extend = (event) => {
    strokes.at(-1).push(at(event));
    line.setAttribute("points", strokes.at(-1).map((p) => p.map((v) => v.toFixed(2))).join(" "));
  };
  picture.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    stop();
    clearTimeout(finished);
    if (!strokes.length) {
      choose(null);
      pixels = Array(SIZE * SIZE).fill(0);
      beliefs = [];
      row = 0;
      show();
    }
    strokes.push([]);
    line = shape("polyline", {});
    stroke.append(line);
    extend(event);
  });
  picture.addEventListener("pointermove", (event) => {
    if (line) extend(event);
  });
  let finished;
  const lift = () => {
    if (!line) return;
    line = null;
    // A second stroke may follow, as in a 4 or a 5.
    finished = setTimeout(() => {
      look(rasterise());
      strokes = [];
      stroke.replaceChildren();
      start();
    }, 700);
  };
  picture.addEventListener("pointerup", lift);
  picture.addEventListener("pointercancel", lift);

  // ---------------------------------------------------------------------------- choosing
  const thumbnail = (image) => {
    const canvas = element("canvas", { width: SIZE, height: SIZE });
    const context = canvas.getContext("2d");
    const content = context.createImageData(SIZE, SIZE);
    image.forEach((p, n) => (content.data[4 * n + 3] = 255 * p));
    context.putImageData(content, 0, 0);
    return `--picture: url(${canvas.toDataURL()})`;
  };
  const choices = examples.map((image, n) =>
    button("", () => {
      clearTimeout(finished);
      strokes = [];
      stroke.replaceChildren();
      choose(n);
      look(image);
      start();
    }, {
      className: "widget-thumbnail",
      style: thumbnail(image),
      "aria-label": `a ${data.labels[n]}, example ${(n % data.each) + 1}`,
    }));
  const choose = (chosen) =>
    choices.forEach((made, n) => made.setAttribute("aria-pressed", String(n === chosen)));

  live.append(
    element("p", {
      className: "widget-hint",
      textContent: "Draw a digit here with a finger or the mouse, or choose one below.",
    }),
    element("div", { className: "widget-panels" }, picture, history, element("span"), names),
    element("ol", { className: "widget-bars widget-cell" }, ...bars.map(({ item }) => item)),
    element(
      "div",
      { className: "widget-buttons" },
      play,
      next,
      element("label", { htmlFor: "widget-digits-row", textContent: "Rows read" }),
      progress,
    ),
    group("Test digits", element("div", { className: "widget-thumbnails" }, ...choices)),
  );
  const say = announcer(live);
  choose(data.shown);
  look(pixels);
  show();
});
