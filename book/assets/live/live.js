// Run and change the cells of a chapter in the page: Python is loaded from the book's own folder, and
// only after the reader has said yes. `make live` writes what this needs; without it nothing loads it.
"use strict";

const liveBook = (() => {
  const script = document.currentScript;
  const folder = new URL(`${script.dataset.folder}/`, script.src).href;
  const { packages, megabytes, cells } = JSON.parse(document.getElementById("live-cells").textContent);
  const isFile = location.protocol === "file:";
  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const button = (textContent, onclick, className = "") =>
    make("button", { type: "button", textContent, onclick, className: `btn btn-sm ${className}` });

  // --------------------------------------------------------------------------- what one sees
  const words = make("span", { role: "status" });
  const stopButton = button("Stop", () => stop());
  // As it was stored, with fresh names; the reader has agreed once.
  const bar = make("div", { className: "live-bar d-print-none", hidden: true },
    words, stopButton, button("Reset the page", () => location.reload()));
  document.body.append(bar);
  const tell = (text, running = false) => {
    bar.hidden = false;
    words.textContent = text;
    stopButton.disabled = !running;
  };

  const AGREED = "live-agreed";
  const ask = () => new Promise((answer) => {
    if (sessionStorage.getItem(AGREED)) return answer(true);
    const dialog = make("dialog", { className: "live-ask" },
      make("p", { textContent: `To run code, this page loads Python and NumPy: ${megabytes} MB, from the folder of this book and from nowhere else. Nothing that you write leaves your machine.` }),
      button("Load and run", () => dialog.close("yes")), " ", button("No", () => dialog.close()));
    dialog.onclose = () => {
      if (dialog.returnValue) sessionStorage.setItem(AGREED, "yes");
      answer(Boolean(dialog.returnValue));
      dialog.remove();
    };
    document.body.append(dialog);
    dialog.showModal();
  });

  const note = ({ div }, text) => {
    div.querySelector(".live-note")?.remove();
    if (text) div.append(make("p", { className: "live-note small text-muted", textContent: text }));
  };
  const box = ({ kind, text }) => {
    if (kind === "html") return make("div", { className: "output text_html", innerHTML: text });
    return make("div", { className: "output text_plain highlight-myst-ansi notranslate" },
      make("div", { className: "highlight" }, make("pre", { textContent: text })));
  };
  const show = (cell) => {
    const { absent, text = "" } = cell.outputs.at(-1) ?? {};
    const before = cells.slice(0, cells.indexOf(cell));
    if (absent) {
      return note(cell, `This cell needs ${absent}, which does not run in a browser: what is stored stays.`);
    }
    if (text.includes("NameError") && before.some((other) => other.slow && !other.done)) {
      return note(cell, "This cell needs one above that takes long here, and was left out: run that one first.");
    }
    const place = make("div", { className: "cell_output docutils container" }, ...cell.outputs.map(box));
    for (const figure of place.querySelectorAll("figure[id]")) { // it keeps its number
      const number = cell.div.querySelector(`[id="${figure.id}"] .caption-number`);
      if (number) figure.querySelector("figcaption").prepend(number);
    }
    cell.div.querySelector(":scope > .cell_output")?.remove();
    if (cell.outputs.length) cell.div.append(place);
    bookPage.typeset(place);
  };

  // -------------------------------------------------------------------------- what is written
  // A new line may be a <br>, of which textContent knows nothing.
  const code = (cell) => {
    if (!cell.pre) return cell.code;
    const copy = cell.pre.cloneNode(true);
    for (const end of copy.querySelectorAll("br")) end.replaceWith("\n");
    return copy.textContent;
  };
  const isChanged = (cell) => code(cell).trim() !== cell.code.trim();

  let leaves = false; // Escape, then Tab leaves a cell
  const onKey = (cell) => (event) => {
    event.stopPropagation(); // "/" would open the search
    if (event.key === "Enter" && (event.shiftKey || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run(cell);
    } else if (event.key === "Tab" && !event.shiftKey && !leaves) {
      event.preventDefault();
      document.execCommand("insertText", false, "    ");
    }
    leaves = event.key === "Escape";
  };

  // ------------------------------------------------------------------------------- what runs
  let worker = null;
  let waiting = null; // [answer, fail] of what the worker does now
  let turn = Promise.resolve();

  const send = (message) => new Promise((answer, fail) => {
    waiting = [answer, fail];
    worker.postMessage(message);
  });
  const start = () => {
    tell("Loading Python…", true);
    worker = new Worker(new URL("worker.js", script.src));
    worker.onmessage = ({ data }) => (data.failed ? waiting[1](new Error(data.failed)) : waiting[0](data.outputs));
    worker.onerror = ({ message }) => waiting[1](new Error(message));
    return send({ folder, packages });
  };
  const end = (text) => {
    worker.terminate();
    worker = null;
    for (const cell of cells) cell.done = false;
    waiting[1](new Error(text));
  };
  // To interrupt Python would need memory that few servers let a page share: it ends, with its names.
  const stop = () => end("Stopped. The next Run begins again with the cells above.");

  const runOne = async (cell, shown) => {
    tell(`Running cell ${cells.indexOf(cell) + 1} of ${cells.length}…${cell.slow ? " It takes a while here." : ""}`, true);
    cell.outputs = await send({ code: code(cell) });
    cell.done = true;
    if (!cell.div) return;
    note(cell, "");
    if (shown) show(cell);
  };
  const runUntil = async (last) => {
    if (isFile) {
      return tell("A page that was opened as a file may not start Python. Serve the book's folder, as with python -m http.server, and open it at http://127.0.0.1:8000.");
    }
    if (!await ask()) return;
    try {
      if (!worker) await start();
      for (const cell of cells.slice(0, last)) {
        if (!cell.done && !cell.slow) await runOne(cell, isChanged(cell));
      }
      await runOne(cells[last], true);
      tell("Ready.");
    } catch (error) {
      if (worker) end(error.message);
      tell(error.message);
    }
  };
  const run = (cell) => (turn = turn.then(() => runUntil(cells.indexOf(cell))));

  const divs = document.querySelectorAll("div.cell");
  for (const cell of cells) {
    if (cell.place === null) continue;
    cell.div = divs[cell.place];
    const input = cell.div.querySelector(".cell_input");
    if (!input) continue;
    input.classList.add("live-cell");
    input.append(button("Run", () => run(cell), "live-run d-print-none"));
    if (isFile) continue;
    cell.pre = input.querySelector("pre");
    Object.assign(cell.pre, {
      contentEditable: "plaintext-only",
      spellcheck: false,
      role: "textbox",
      ariaMultiLine: "true",
      ariaLabel: "Code, which you can change; Shift and Enter run it",
    });
    cell.pre.addEventListener("keydown", onKey(cell));
    if (cell.slow) note(cell, "This cell takes more than 20 seconds in a browser.");
  }
  return { run, cells, runUntil };
})();
