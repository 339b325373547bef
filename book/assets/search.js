/* Search the index of the book's sections (index.js). Titles, definitions and what a section emphasises come first. */
(() => {
  const WEIGHTS = { term: 1.3, section: 1, equation: 0.6, name: 0.4, source: 0.3 };
  const APPENDIX = /book\/(api|ledger|appendix|run_times|17_)/; // what repeats the chapters
  const ASIDE = /(^|\. )(Exercises|Summary)$/;
  const SHOWN = 20;
  const { pages, entries } = window.bookIndex;

  /** Text as it is compared: words in lower case, without accents. */
  function plain(text) {
    return text.toLowerCase().normalize("NFKD").replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  }

  /** Words without endings and without the difference of British and American spelling. */
  function stems(words) {
    return words.replace(/z/g, "s").replace(/([a-z]{3})our/g, "$1or")
      .replace(/([a-z]{3}[^s\s])s(?= |$)/g, "$1")
      .replace(/([a-z]{3})(?:ion|ing|(?<!e)ed|e)(?= |$)/g, "$1")
      .replace(/([bdfgmnprt])\1(?= |$)/g, "$1") // clipped
      .replace(/([a-z]{5})at(?= |$)/g, "$1") // initialisation
      .replace(/([a-z]{3})y(?= |$)/g, "$1i");
  }

  const places = entries.map(([page, kind, anchor, title, text, emphasised, names]) => {
    const bare = plain(title.replace(/^[\d.]+ /, "")).replace(/^(a|an|the) /, "");
    const forms = (form) => ({
      head: ` ${form(bare)} `,
      body: ` ${form(plain(text))} `,
      emphasised: emphasised.map((each) => form(plain(each))),
      names: names.map((each) => form(plain(each))),
      called: ` ${[bare, ...names].map((each) => form(plain(each))).join(" ")} `,
    });
    const aside = APPENDIX.test(pages[page][0]) || ASIDE.test(title);
    const weight = WEIGHTS[kind] * (aside ? 0.5 : 1);
    return { page, kind, anchor, title, text, weight, typed: forms((words) => words), stem: forms(stems) };
  });

  /** How well a place answers the words; 0 for not at all. The last word may be unfinished. */
  function score({ head, body, emphasised, names, called }, phrase, end) {
    const words = phrase.split(" ");
    const latin = /^[a-z0-9]/.test(phrase); // Chinese has no spaces
    const start = latin ? ` ${phrase}${end}` : phrase;
    let value = 0;
    if (head === ` ${phrase} `) value = 100;
    else if (names.includes(phrase)) value = 95;
    else if (head.startsWith(` ${phrase} `)) value = 70;
    else if (emphasised.includes(phrase)) return 70; // the earliest is the one that explains
    else if (called.includes(start)) value = 50;
    else if (words.every((word) => called.includes(` ${word}${end}`))) value = 30;
    if (value) value -= Math.min(head.length / 10, 15);
    const often = body.split(start).length - 1;
    if (often) value += 8 + Math.min(often, 6) + (body.indexOf(start) < 100 ? 4 : 0);
    else if (!value && words.every((word) => `${head}${body}`.includes(` ${word}${end}`))) value = 4;
    return value;
  }

  function find(query) {
    const phrase = plain(query);
    if (!phrase) return { words: [], found: [] };
    const words = phrase.split(" ");
    const root = stems(phrase);
    const found = places.map((place) => ({
      place,
      value: place.weight * Math.max(score(place.typed, phrase, ""), score(place.stem, root, " ")),
    }));
    found.sort((a, b) => b.value - a.value); // stable: of equals the earlier in the book
    return { words, found: found.filter(({ value }) => value > 0).map(({ place }) => place) };
  }

  /** A definition's beginning, or what stands around the first hit; formulas stay whole. */
  function excerpt(kind, text, words) {
    const parts = text.replace(/\\[[\]]/g, (bracket) => (bracket === "\\[" ? "\\(" : "\\)"))
      .match(/\\\(.*?\\\)\S*|\S+/gs) ?? [];
    const hit = (part) => words.some((word) => plain(part).split(" ").some((w) => w.startsWith(word)
      || stems(w) === stems(word) || (!/^[a-z0-9]/.test(word) && w.includes(word))));
    const phrase = words.join(" ");
    const together = (_, i) => {
      const here = plain(parts.slice(i, i + words.length).join(" "));
      return here.startsWith(phrase) || stems(here) === stems(phrase);
    };
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
