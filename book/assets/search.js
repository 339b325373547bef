/* Search the index of the book's sections (index.js). Titles, definitions and what a section emphasises come first. */
(() => {
  const WEIGHTS = { term: 1.3, section: 1, equation: 0.6, name: 0.4, source: 0.3 };
  const APPENDIX = /book\/(api|ledger|appendix|run_times)/;
  const SHOWN = 20;
  const { pages, entries } = window.bookIndex;

  /** Text as it is compared: words in lower case, without accents and without plurals. */
  function plain(text) {
    const words = text.toLowerCase().normalize("NFKD").replace(/[^\p{L}\p{N}]+/gu, " ").trim();
    return words.replace(/([a-z]{3,}?[^s\s])s(?= |$)/g, "$1");
  }

  const places = entries.map(([page, kind, anchor, title, text, terms]) => ({
    page, kind, anchor, title, text,
    terms: terms.map(plain),
    weight: WEIGHTS[kind] * (APPENDIX.test(pages[page][0]) ? 0.5 : 1),
    head: ` ${plain(title)} `,
    body: ` ${plain(text)} `,
  }));

  /** How well a place answers the words; 0 for not at all. */
  function score({ head, body, terms, weight }, phrase, words) {
    const start = /^[a-z0-9]/.test(phrase) ? ` ${phrase}` : phrase; // Chinese has no spaces
    let value = 0;
    if (head === ` ${phrase} `) value = 100;
    else if (head.startsWith(` ${phrase} `) || head.startsWith(` the ${phrase} `)) value = 70;
    else if (terms.includes(phrase)) value = 60;
    else if (head.includes(start)) value = 50;
    else if (words.every((word) => head.includes(` ${word}`))) value = 30;
    if (value) value -= Math.min(head.length / 10, 15);
    const often = body.split(start).length - 1;
    if (often) value += 8 + Math.min(often, 6) + (body.indexOf(start) < 100 ? 4 : 0);
    else if (!value && words.every((word) => `${head}${body}`.includes(` ${word}`))) value = 4;
    return value * weight;
  }

  function find(query) {
    const phrase = plain(query);
    const words = phrase.split(" ");
    if (!phrase) return { words: [], found: [] };
    const found = places.map((place) => ({ place, value: score(place, phrase, words) }));
    found.sort((a, b) => b.value - a.value); // stable: of equals the earlier in the book
    return { words, found: found.filter(({ value }) => value > 0).map(({ place }) => place) };
  }

  /** A definition's beginning, or what stands around the first hit; formulas stay whole. */
  function excerpt(kind, text, words) {
    const parts = text.replace(/\\[[\]]/g, (bracket) => (bracket === "\\[" ? "\\(" : "\\)"))
      .match(/\\\(.*?\\\)\S*|\S+/gs) ?? [];
    const hit = (part) => words.some((word) => plain(part).split(" ").some((w) => w.startsWith(word)
      || (!/^[a-z0-9]/.test(word) && w.includes(word))));
    const phrase = words.join(" ");
    const together = (_, i) => plain(parts.slice(i, i + words.length).join(" ")).startsWith(phrase);
    let first = kind === "term" ? 0 : parts.findIndex(together);
    if (first < 0) first = Math.max(parts.findIndex(hit), 0);
    const from = Math.max(first - 8, 0);
    const line = document.createElement("span");
    line.className = "search-excerpt mathjax_process";
    if (from) line.append("… ");
    for (const part of parts.slice(from, first + 24)) {
      const formula = part.startsWith("\\(");
      const piece = document.createElement(!formula && hit(part) ? "mark" : "span");
      piece.append(part);
      line.append(piece, " ");
    }
    if (first + 24 < parts.length) line.append("…");
    return line;
  }

  function show(box) {
    const { words, found } = find(box.querySelector("input").value);
    const items = found.slice(0, SHOWN).map(({ page, kind, anchor, title, text }) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      const where = document.createElement("span");
      const [address, name] = pages[page];
      link.href = `${bookPage.root}${address}#${anchor}`;
      where.className = "search-where";
      where.append([name, kind === "equation" ? `equation ${title}` : title]
        .filter((part, i, all) => part && part !== all[i - 1]).join(" › "));
      link.append(where, excerpt(kind, text, words));
      item.append(link);
      return item;
    });
    box.querySelector(".search-results").replaceChildren(...items);
    const shown = found.length > SHOWN ? `, the first ${SHOWN} shown` : "";
    const count = found.length === 1 ? "1 place" : `${found.length || "no"} places${shown}`;
    box.querySelector(".search-count").textContent = words.length ? count : "";
    bookPage.typeset(box.querySelector(".search-results"));
  }

  for (const box of document.querySelectorAll(".book-search")) {
    const input = box.querySelector("input");
    if (!input.value) input.value = new URLSearchParams(location.search).get("q") ?? "";
    input.addEventListener("input", () => show(box));
    box.addEventListener("click", ({ target }) => target.closest("a") && box.closest("dialog")?.close());
    show(box);
  }
})();
