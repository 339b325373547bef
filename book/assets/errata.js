// Search and filters for the ledger of errata. Without this script every finding is on the page and
// open. No module: browsers load modules from a server only, and the book opens as files.
(() => {
  "use strict";

  const bar = document.querySelector(".errata-filter");
  const tables = [...document.querySelectorAll("table.errata")];
  if (!bar || !tables.length) return;

  const findings = tables.flatMap((table) =>
    [...table.querySelectorAll("tbody > tr")].map((row) => ({
      row,
      table,
      details: row.querySelector("details"),
      // Read now: MathJax replaces the text of a formula by drawings.
      text: row.textContent.toLowerCase().replace(/\s+/g, " "),
    })),
  );

  // ---------------------------------------------------------------------------- the controls
  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // A finding may stand in several articles: data-article="000 002".
  const has = (row, key, value) => row.dataset[key].split(" ").includes(value);
  const all = (key) => new Set(findings.flatMap(({ row }) => row.dataset[key].split(" ")));

  const choice = (key, none, values = [...all(key)].sort()) => {
    const options = values.map((value) => {
      const size = findings.filter(({ row }) => has(row, key, value)).length;
      return element("option", { value, textContent: `${value} (${size})` });
    });
    const select = element("select", { name: key });
    select.append(element("option", { value: "", textContent: none }), ...options);
    return select;
  };

  const field = (text, control) => {
    control.id = `errata-${control.name}`;
    return element("div", {}, element("label", { htmlFor: control.id, textContent: text }), control);
  };

  const search = element("input", { type: "search", name: "search", autocomplete: "off" });
  search.placeholder = "a word, a number, a formula";
  const choices = [
    choice("article", "all articles"),
    choice("severity", "all severities", ["fatal", "major", "minor"]),
    choice("kind", "all kinds"),
  ];
  const status = element("output", { className: "errata-status" });
  const open = element("button", { type: "button" });
  const reset = element("button", { type: "reset", textContent: "Show all" });
  const form = element(
    "form",
    { role: "search" },
    field("Search the findings", search),
    ...choices.map((select) => field(select.name[0].toUpperCase() + select.name.slice(1), select)),
    element("div", { className: "errata-actions" }, status, open, reset),
  );
  form.setAttribute("aria-label", "Findings");
  status.setAttribute("aria-live", "polite");
  bar.append(form);

  // ---------------------------------------------------------------------------- filtering
  const shown = () => findings.filter(({ row }) => !row.hidden);

  const nameOpen = () => {
    const some = shown().some(({ details }) => !details.open);
    open.textContent = some ? "Open these" : "Close these";
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { row, text } of findings) {
      const chosen = choices.every(({ name, value }) => !value || has(row, name, value));
      row.hidden = !(chosen && words.every((word) => text.includes(word)));
    }
    for (const table of tables) {
      const rows = [...table.tBodies[0].rows];
      const left = rows.filter((row) => !row.hidden).length;
      const of = left === rows.length ? "" : `${left} of `;
      table.caption.querySelector("span").textContent = `${of}${rows.length} findings`;
    }
    status.textContent = `${shown().length} of ${findings.length} findings`;
    nameOpen();
  };

  const setOpen = (list, value) => list.forEach(({ details }) => (details.open = value));

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  open.addEventListener("click", () => {
    const list = shown();
    setOpen(list, list.some(({ details }) => !details.open));
    nameOpen();
  });
  // "toggle" does not bubble.
  findings.forEach(({ details }) => details.addEventListener("toggle", nameOpen));

  // ---------------------------------------------------------------------------- links, printing
  const follow = () => {
    const place = document.getElementById(location.hash.slice(1));
    const target = findings.find(({ row }) => row.contains(place));
    if (!target) return;
    if (target.row.hidden) {
      form.reset();
      filter();
    }
    target.details.open = true;
    place.scrollIntoView();
  };

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = findings.filter(({ details }) => !details.open);
    setOpen(closed, true);
  });
  addEventListener("afterprint", () => setOpen(closed, false));
  addEventListener("hashchange", follow);
  addEventListener("load", follow);

  setOpen(findings, false);
  filter();
})();
