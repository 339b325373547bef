// The reader of digits: a picture, row by row (watch.js shows it).
"use strict";

LSTM.enliven("digits", LSTM.watch(({ data, changed }) => {
  const { argmax, element, shape, button, softmax } = LSTM;
  const SIZE = 28;
  const CLASSES = 10;
  const examples = data.images.map((text) => Array.from(LSTM.bytes(text), (ink) => ink / 255));
  let pixels = examples[data.shown];

  // ----------------------------------------------------------------------------- drawing
  // Strokes are lists of points in units of the picture. As in MNIST, what was drawn is scaled to
  // 20 pixels and moved until its centre of mass is in the middle.
  let strokes = [];
  const paint = (context, scale, dx, dy) => {
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
    const image = paint(context, scale, dx, dy);
    const total = image.reduce((sum, p) => sum + p, 0);
    const x = image.reduce((sum, p, n) => sum + p * ((n % SIZE) + 0.5), 0) / total;
    const y = image.reduce((sum, p, n) => sum + p * (Math.floor(n / SIZE) + 0.5), 0) / total;
    return paint(context, scale, dx + SIZE / 2 - x, dy + SIZE / 2 - y);
  };

  const square = (x, y, ink, className = "watch-ink") =>
    shape("rect", { class: className, x, y, width: 1.02, height: 1.02, "fill-opacity": ink.toFixed(3) });
  const stroke = shape("g", { class: "watch-stroke" });
  const ink = shape("g", {});
  const pad = shape("svg", { class: "watch-pad", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": "The digit that is read; draw another with a finger or the mouse" }, ink, stroke);
  const set = (image, chosen = null) => {
    pixels = image;
    ink.replaceChildren(...image.flatMap((p, n) => (p ? [square(n % SIZE, Math.floor(n / SIZE), p)] : [])));
    choices.forEach((made, n) => made.setAttribute("aria-pressed", String(n === chosen)));
  };
  const show = (image, chosen) => {
    clearTimeout(finished);
    strokes = [];
    stroke.replaceChildren();
    set(image, chosen);
    changed();
  };

  let line = null;
  let finished;
  const extend = ({ clientX, clientY }) => {
    const box = pad.getBoundingClientRect();
    strokes.at(-1).push([((clientX - box.left) / box.width) * SIZE, ((clientY - box.top) / box.height) * SIZE]);
    line.setAttribute("points", strokes.at(-1).map((p) => p.map((v) => v.toFixed(2))).join(" "));
  };
  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    clearTimeout(finished);
    if (!strokes.length) set([]);
    strokes.push([]);
    line = shape("polyline", {});
    stroke.append(line);
    extend(event);
  });
  pad.addEventListener("pointermove", (event) => line && extend(event));
  const lift = () => {
    if (!line) return;
    line = null;
    // A second stroke may follow, as in a 4 or a 5.
    finished = setTimeout(() => show(rasterise(), null), 700);
  };
  pad.addEventListener("pointerup", lift);
  pad.addEventListener("pointercancel", lift);

  // ----------------------------------------------------------------------------- choosing
  const thumbnail = (image) => {
    const canvas = element("canvas", { width: SIZE, height: SIZE });
    const context = canvas.getContext("2d");
    const content = context.createImageData(SIZE, SIZE);
    image.forEach((p, n) => (content.data[4 * n + 3] = 255 * p));
    context.putImageData(content, 0, 0);
    return `--picture: url(${canvas.toDataURL()})`;
  };
  const choices = examples.map((image, n) =>
    button("", () => show(image, n), {
      className: "widget-thumbnail",
      style: thumbnail(image),
      "aria-label": `a ${data.labels[n]}, example ${(n % data.each) + 1}`,
    }));
  set(pixels, data.shown);

  const percent = (p) => `${Math.round(100 * p)}%`;
  return {
    controls: element("div", { className: "watch-input watch-drawing" }, pad,
      element("div", {},
        element("p", { className: "widget-hint", textContent: "Draw a digit on the left with a finger or the mouse, or choose one. It must answer with one of the ten, whatever you draw." }),
        element("div", { className: "widget-thumbnails" }, ...choices),
        element("div", { className: "widget-buttons" }, button("Clear", () => show([], null))))),
    read: () => {
      const rows = pixels.length ? Array.from({ length: SIZE }, (_, t) => pixels.slice(t * SIZE, (t + 1) * SIZE)) : [];
      return { inputs: rows, names: rows.map((_, t) => `row ${t + 1}`) };
    },
    // Begin where it makes up its mind.
    start: (run) => {
      const last = softmax(run.at(-1).logits);
      const best = argmax(last);
      return run.findLastIndex(({ logits }) => softmax(logits)[best] < 0.5) + 1;
    },
    empty: "Nothing to read yet: draw a digit.",
    column: 11,
    pace: 160,
    // The picture lies on its side: above each step stands the row that is read there.
    headHeight: () => 66,
    head: ({ x, layout }) => {
      const size = 60 / SIZE;
      return pixels.flatMap((p, n) => (p < 0.05 ? [] : [shape("rect", {
        class: "watch-ink", "fill-opacity": p.toFixed(2), height: size + 0.1, width: layout.column * 0.92,
        x: x(Math.floor(n / SIZE) + 0.04).toFixed(1), y: (2 + (n % SIZE) * size).toFixed(1),
      })]));
    },
    answerHeight: 128,
    answers: ({ run, plain, x, top, layout }) => {
      const height = 12.4;
      const at = (digit) => top + 2 + digit * height;
      const parts = [];
      for (let digit = 0; digit < CLASSES; digit++) {
        parts.push(shape("text", { class: "watch-label", x: layout.left - 6, y: at(digit) + 10, "text-anchor": "end" }, String(digit)));
        parts.push(shape("path", { class: "watch-axis", d: `M${layout.left} ${at(digit) + height}H${x(run.length)}` }));
      }
      run.forEach(({ logits }, t) => softmax(logits).forEach((p, digit) => {
        if (p < 0.01) return;
        parts.push(shape("rect", { class: "watch-belief part-h part-o", "fill-opacity": p.toFixed(2), x: x(t + 0.06), width: layout.column * 0.88, y: at(digit) + 1, height: height - 2 }));
      }));
      plain?.forEach(({ logits }, t) => {
        const best = argmax(logits);
        parts.push(shape("rect", { class: "watch-ghost", x: x(t + 0.06), width: layout.column * 0.88, y: at(best) + 1, height: height - 2 }));
      });
      return parts;
    },
    verdict: (name, logits) => {
      const [first, second] = softmax(logits).map((p, digit) => [p, digit]).sort((a, b) => b[0] - a[0]);
      return `After ${name} of ${SIZE}: ${first[1]} (${percent(first[0])}), then ${second[1]} (${percent(second[0])}).`;
    },
  };
}));
