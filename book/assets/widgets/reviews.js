// The reader of reviews (chapter on movie reviews): type a sentence, and see the verdict change word by word.
"use strict";

LSTM.enliven("reviews", ({ data, live }) => {
  const { element, shape, button, announcer, number, sigmoid } = LSTM;
  const weights = LSTM.unpackAll(data.weights);
  const [, D] = data.weights.E.shape;
  const UNKNOWN = 1; // 0 is padding
  const ids = new Map(data.words.map((word, n) => [word, n + 2]));
  const LONGEST = 200;

  // As lstm.text.tokenise does.
  const tokenise = (text) =>
    text
      .replace(/<[^<>]*>/g, " ")
      .replaceAll("’", "'")
      .toLowerCase()
      .match(/[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*|[!?]/gu) ?? [];

  const vector = (word) => {
    const id = ids.get(word) ?? UNKNOWN;
    return weights.E.subarray(id * D, (id + 1) * D);
  };

  // ------------------------------------------------------------------------------ the picture
  const WIDTH = 640;
  const HEIGHT = 190;
  const [LEFT, RIGHT, TOP, BOTTOM] = [104, 12, 14, 14];
  const toY = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  const curve = shape("path", { class: "widget-median" });
  const dots = shape("g", { class: "widget-dots" });
  const plot = shape(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "widget-plot widget-cell",
      "aria-label": "Probability of a positive review after each word" },
    ...[0, 0.5, 1].flatMap((share) => {
      const text = shape("text", { x: LEFT - 10, y: toY(share) + 5, "text-anchor": "end" });
      text.append(["negative", "50%", "positive"][2 * share]);
      const grid = { class: "widget-grid", d: `M${LEFT} ${toY(share)}H${WIDTH - RIGHT}` };
      return [shape("path", grid), text];
    }),
    curve,
    dots,
  );

  const shaded = element("p", { className: "widget-words" });
  const shade = (word, change, share) => {
    const kind = change > 0 ? "candidate" : "forget";
    const strength = Math.round(40 * Math.min(1, Math.abs(change) / 2));
    const known = ids.has(word);
    const made = element("span", {
      className: `widget-word widget-${kind}${known ? "" : " widget-unknown"}`,
      textContent: word,
      dataset: { value: share, change },
      style: `--strength: ${strength}%`,
    });
    if (Math.abs(change) < 0.2) made.classList.add("widget-faint");
    return made;
  };

  const show = () => {
    const words = tokenise(area.value).slice(0, LONGEST);
    const logits = words.length ? LSTM.read(weights, words.map(vector)).map(([z]) => z) : [];
    const shares = logits.map(sigmoid);
    const changes = logits.map((z, t) => z - (t ? logits[t - 1] : 0));
    shaded.replaceChildren();
    words.forEach((word, t) => shaded.append(shade(word, changes[t], shares[t]), " "));
    if (!words.length) shaded.append("No word yet.");

    const toX = (t) => LEFT + ((t + 0.5) / words.length) * (WIDTH - LEFT - RIGHT);
    const places = shares.map((share, t) => [toX(t).toFixed(1), toY(share).toFixed(1)]);
    curve.setAttribute("d", places.map(([x, y], t) => `${t ? "L" : "M"}${x} ${y}`).join(""));
    dots.replaceChildren(...places.map(([cx, cy]) => shape("circle", { cx, cy, r: 4 })));

    if (!words.length) return say("No word yet.");
    const order = changes.map((change, t) => [Math.abs(change), t]).sort((a, b) => b[0] - a[0]);
    const direction = (t) => (changes[t] > 0 ? "up" : "down");
    const moved = order.slice(0, 3).map(([, t]) => `${words[t]} (${direction(t)})`);
    const unknown = [...new Set(words.filter((word) => !ids.has(word)))];
    const missing = unknown.length ? ` Not in its vocabulary: ${unknown.join(", ")}.` : "";
    const verdict = `Positive with ${number(100 * shares.at(-1), 0)}%.`;
    say(`${verdict} Moved it most: ${moved.join(", ")}.${missing}`);
  };

  // ----------------------------------------------------------------------------- the controls
  const area = element("textarea", {
    id: "widget-reviews-text", rows: 3, value: data.examples[0], spellcheck: false,
  });
  area.addEventListener("input", show);
  live.append(
    element("div", {},
      element("label", { htmlFor: area.id, textContent: "A sentence about a film, in English" }),
      area,
    ),
    element(
      "div",
      { className: "widget-buttons" },
      ...data.examples.map((text, n) =>
        button(`Example ${n + 1}`, () => {
          area.value = text;
          show();
        })),
    ),
    shaded,
    plot,
  );
  const say = announcer(live);
  show();
});
