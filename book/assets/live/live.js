// Run and change the cells of a chapter in the page: Python is loaded from the book's own folder, and
// only after the reader has said yes. `make live` writes what this needs; without it nothing loads it.
"use strict";

const liveBook = (() => {
  const script = document.currentScript;
  const folder = new URL(`${script.dataset.folder}/`, script.src).href;
  const { packages, megabytes, cells } = JSON.parse(document.getElementById("live-cells").textContent);
  const divs = document.querySelectorAll("div.cell");
  const isFile = location.protocol === "file:";
  const make = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // --------------------------------------------------------------------------- what one sees
  const words = make("p", { role: "status" });
  const stopButton = make("button", { type: "button", textContent: "Stop", onclick: () => stop() });
  const resetButton = make("button", { type: "button", textContent: "Reset the page", onclick: () => reset() });
  const bar = make("div", { className: "live-bar", hidden: true }, words, stopButton, resetButton);
  document.body.append(bar);
  const tell = (text, running = false) => {
    bar.hidden = false;
    words.textContent = text;
    stopButton.disabled = !running;
  };

  const ask = () => new Promise((answer) => {
    const yes = make("button", { type: "button", textContent: "Load and run" });
    const no = make("button", { type: "button", textContent: "No" });
    const dialog = make("dialog", { className: "live-ask" },
      make("p", { textContent: `To run code, this page loads Python and NumPy: ${megabytes} MB, from the folder of this book and from nowhere else. Nothing that you write leaves your machine.` }),
      yes, " ", no);
    const close = (said) => () => {
      dialog.remove();
      answer(said);
    };
    yes.onclick = close(true);
    no.onclick = close(false);
    dialog.oncancel = close(false);
    document.body.append(dialog);
    dialog.showModal();
  });

  const box = (kind, text) => {
    const made = make("div", { className: kind === "html" ? "output text_html" : "output text_plain highlight-myst-ansi notranslate" });
    if (kind === "html") made.innerHTML = text;
    else made.append(make("div", { className: "highlight" }, make("pre", { textContent: text })));
    return made;
  };
  const show = (cell) => {
    const { div, outputs } = cell;
    const { absent, text: said = "" } = outputs.at(-1) ?? {};
    const left = cells.findIndex((other, n) => other.slow && !done.has(n));
    const hasLeft = left >= 0 && left < cells.indexOf(cell) && said.includes("NameError");
    if (absent) note(cell, `This cell needs ${absent}, which does not run in a browser: what is stored stays.`);
    if (hasLeft) note(cell, "This cell needs one above that takes long here, and was left out: run that one first.");
    if (absent || hasLeft) return;
    const numbers = Object.fromEntries([...div.querySelectorAll("figure[id]")]
      .map((figure) => [figure.id, figure.querySelector(".caption-number")]));
    const place = make("div", { className: "cell_output docutils container" },
      ...outputs.map(({ kind, text }) => box(kind, text)));
    for (const [id, number] of Object.entries(numbers)) {
      if (number) place.querySelector(`[id="${id}"] figcaption`)?.prepend(number);
    }
    div.querySelector(":scope > .cell_output")?.remove();
    if (outputs.length) div.append(place);
    bookPage.typeset(place);
  };
  const note = (cell, text) => {
    cell.div?.querySelector(".live-note")?.remove();
    if (text && cell.div) cell.div.append(make("p", { className: "live-note", textContent: text }));
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
  let agreed = false;
  let interrupt = null;
  let waiting = null; // [answer, fail] of what the worker does now
  let done = new Set();
  let turn = Promise.resolve();

  const send = (message) => new Promise((answer, fail) => {
    waiting = [answer, fail];
    worker.postMessage(message);
  });
  const start = async () => {
    tell("Loading Python…", true);
    worker = new Worker(new URL("worker.js", script.src));
    worker.onmessage = ({ data }) => (data.failed ? waiting[1](new Error(data.failed)) : waiting[0](data.outputs));
    worker.onerror = ({ message }) => waiting[1](new Error(message));
    if (crossOriginIsolated) interrupt = new Uint8Array(new SharedArrayBuffer(1));
    await send({ folder, packages, interrupt });
  };
  const end = (text) => {
    worker?.terminate();
    worker = null;
    done = new Set();
    waiting?.[1](new Error(text));
  };
  // Where the server allows shared memory, Python is interrupted; elsewhere it ends, with its names.
  const stop = () => {
    if (interrupt && done.size) interrupt[0] = 2;
    else end("Stopped. The next Run begins again with the cells above.");
  };

  const runOne = async (cell, n, shown) => {
    tell(`Running cell ${n + 1} of ${cells.length}…${cell.slow ? " It takes a while here." : ""}`, true);
    cell.div?.classList.add("live-running");
    try {
      cell.outputs = await send({ code: code(cell) });
      done.add(n);
      if (shown && cell.div) show(cell);
    } finally {
      cell.div?.classList.remove("live-running");
    }
  };
  const runUntil = async (last) => {
    if (isFile) {
      tell("A page that was opened as a file may not start Python. Serve the book's folder, as with python -m http.server, and open it at http://127.0.0.1:8000.");
      return;
    }
    agreed ||= await ask();
    if (!agreed) return;
    try {
      if (!worker) await start();
      for (const [n, cell] of cells.entries()) {
        if (n > last) break;
        if (n < last && (done.has(n) || cell.slow)) continue;
        note(cell, "");
        await runOne(cell, n, n === last || isChanged(cell));
      }
      tell("Ready.");
    } catch (error) {
      if (worker) end(error.message);
      tell(error.message);
    }
  };
  const run = (cell) => (turn = turn.then(() => runUntil(cells.indexOf(cell))));

  const reset = () => {
    end("Everything is as it was stored.");
    tell("Everything is as it was stored.");
    for (const cell of cells) cell.restore?.();
  };

  for (const cell of cells) {
    if (cell.place === null) continue;
    cell.div = divs[cell.place];
    const input = cell.div.querySelector(".cell_input");
    if (!input) continue;
    const prepare = () => {
      cell.pre = cell.div.querySelector(".cell_input pre");
      const place = cell.div.querySelector(".cell_input");
      place.classList.add("live-cell");
      place.querySelector(".live-run")?.remove();
      place.append(make("button", { type: "button", className: "live-run", textContent: "Run", onclick: () => run(cell) }));
      if (isFile) return;
      cell.pre.contentEditable = "plaintext-only";
      cell.pre.spellcheck = false;
      cell.pre.setAttribute("role", "textbox");
      cell.pre.setAttribute("aria-multiline", "true");
      cell.pre.setAttribute("aria-label", "Code, which you can change; Shift and Enter run it");
      cell.pre.addEventListener("keydown", onKey(cell));
      if (cell.slow) note(cell, "This cell takes more than 20 seconds in a browser.");
    };
    let stored;
    prepare();
    addEventListener("load", () => (stored = cell.div.innerHTML)); // with what other scripts add
    cell.restore = () => {
      cell.div.innerHTML = stored;
      prepare();
    };
  }
  return { run, cells, runUntil };
})();
