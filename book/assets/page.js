/* On every page: fit formulas, say where a box goes on sideways, load search and previews when they are used. */
const bookPage = (() => {
  const root = document.documentElement.dataset.content_root;
  const WIDE = ".bd-article :is(.math, pre, table, .lstm-table, dd, .text_html, .drawing, .pst-scrollable-table-container)";
  const LINK = '.bd-article a.internal:is([href*="#equation-"], [href*="#term-"], [href*="#cite-"])';
  const loaded = {};

  function load(file) {
    loaded[file] ??= new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = `${root}_static/${file}`;
      script.onload = done;
      script.onerror = failed;
      document.head.append(script);
    });
    return loaded[file];
  }

  // Most pages have MathJax already; the others get it with the first formula that is found.
  async function typeset(element) {
    if (!element.textContent.includes("\\(")) return;
    if (!window.MathJax) {
      const settings = { inTabOrder: false };
      window.MathJax = { startup: { typeset: false }, options: { menuOptions: { settings } } };
      await load("mathjax/tex-chtml.js");
    }
    await MathJax.startup.promise;
    await MathJax.typesetPromise([element]);
  }

  const OVERHANG = 8; // pixels by which italic letters may stand out
  // A box that is cut fades out at that side, and the keyboard reaches it.
  function markCut(box) {
    const hidden = box.scrollWidth - box.clientWidth;
    box.classList.toggle("wide", hidden > OVERHANG);
    const scrolls = hidden > OVERHANG && getComputedStyle(box).overflowX !== "visible";
    box.classList.toggle("cut", scrolls && box.scrollLeft < hidden - OVERHANG);
    if (scrolls) box.tabIndex = 0;
  }
  const SMALLEST = 11; // pixels of a formula's letters
  // A formula that is a little wider than its box is set smaller, to be seen whole.
  function fitFormulas() {
    const formulas = [...document.querySelectorAll(".bd-article .math:has(> mjx-container)")];
    for (const box of formulas) box.style.fontSize = "";
    const pixels = (element) => parseFloat(getComputedStyle(element).fontSize);
    const sizes = formulas.map((box) => {
      if (box.scrollWidth - box.clientWidth <= OVERHANG) return 0;
      const room = box.clientWidth / box.scrollWidth;
      return room * pixels(box.querySelector("mjx-container")) < SMALLEST ? 0 : room * pixels(box);
    });
    formulas.forEach((box, place) => sizes[place] && (box.style.fontSize = `${sizes[place]}px`));
  }
  const markAll = () => {
    fitFormulas();
    document.querySelectorAll(WIDE).forEach(markCut);
  };
  document.addEventListener("scroll", ({ target }) => target.matches?.(WIDE) && markCut(target), true);
  document.addEventListener("toggle", markAll, true);
  addEventListener("resize", markAll);
  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    markAll();
  });

  document.addEventListener("focusin", async ({ target }) => {
    if (!target.matches(".book-search input")) return;
    await load("index.js");
    await load("search.js");
  });
  if (DOCUMENTATION_OPTIONS.pagename === "search") document.querySelector(".book-search input").focus();

  const preview = async ({ target }) => {
    const link = target.closest?.(LINK);
    if (!link) return;
    await load("index.js");
    await load("previews.js");
    bookPreviews.announce(link);
  };
  if (matchMedia("(hover: hover)").matches) document.addEventListener("mouseover", preview);
  document.addEventListener("focusin", preview);

  return { root, typeset, fitFormulas };
})();
