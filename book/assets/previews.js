/* Show the equation, term or source that a link leads to, before one follows it. */
const bookPreviews = (() => {
  const WAIT = 250; // milliseconds, so that nothing opens under a hand that passes
  const { entries } = window.bookIndex;
  const texts = new Map(entries.map(([, , anchor, , text]) => [anchor, text]));
  const box = document.createElement("div");
  box.className = "preview mathjax_process";
  box.id = "preview";
  box.role = "tooltip";
  box.hidden = true;
  document.body.append(box);
  let wanted = null; // the link whose preview is shown or soon will be
  let timer = 0;

  function hide() {
    clearTimeout(timer);
    wanted?.removeAttribute("aria-describedby");
    wanted = null;
    box.hidden = true;
  }

  async function show(text) {
    box.textContent = text.replace("\\[", "\\(\\displaystyle ").replace("\\]", "\\)");
    box.hidden = false;
    wanted.setAttribute("aria-describedby", box.id);
    await bookPage.typeset(box);
    const at = wanted?.getClientRects()[0];
    if (!at) return;
    const { offsetWidth: width, offsetHeight: height } = box;
    const below = at.bottom + height + 8 < innerHeight;
    box.style.left = `${Math.max(8, Math.min(at.left, document.body.clientWidth - width - 8))}px`;
    box.style.top = `${below ? at.bottom + 4 : at.top - height - 4}px`;
  }

  function announce(link) {
    const text = texts.get(decodeURIComponent(link.hash.slice(1)));
    if (!text || link === wanted) return;
    hide();
    wanted = link;
    timer = setTimeout(show, WAIT, text);
    const leave = ({ relatedTarget }) => {
      if (wanted === link && !box.contains(relatedTarget)) hide();
    };
    link.addEventListener("mouseleave", leave, { once: true });
    link.addEventListener("focusout", leave, { once: true });
  }

  box.addEventListener("mouseleave", hide);
  addEventListener("scroll", () => box.hidden || hide(), { passive: true });
  addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  return { announce };
})();
