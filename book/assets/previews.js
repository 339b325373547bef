/* Show the equation, term or source that a link leads to, before one follows it. */
const bookPreviews = (() => {
  const WAIT = 250; // milliseconds, so that nothing opens under a hand that passes
  const { entries } = window.bookIndex;
  const places = new Map(entries.map(([, , anchor, title, text]) => [anchor, { title, text }]));
  const box = document.createElement("div");
  box.className = "preview mathjax_process";
  box.id = "preview";
  box.role = "tooltip";
  box.hidden = true;
  document.body.append(box);
  let shown = null;
  let timer = 0;

  function hide() {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    box.hidden = true;
  }

  async function show(link) {
    const place = places.get(decodeURIComponent(link.hash.slice(1)));
    if (!place) return;
    hide();
    shown = link;
    box.textContent = place.text;
    box.hidden = false;
    await bookPage.typeset(box.textContent.includes("\\[") ? asFormula() : box);
    const at = link.getClientRects()[0];
    const { offsetWidth: width, offsetHeight: height } = box;
    const below = at.bottom + height + 8 < innerHeight;
    box.style.left = `${Math.max(8, Math.min(at.left, document.body.clientWidth - width - 8))}px`;
    box.style.top = `${below ? at.bottom + 4 : at.top - height - 4}px`;
    link.setAttribute("aria-describedby", box.id);
  }

  function asFormula() {
    box.textContent = box.textContent.replace("\\[", "\\(\\displaystyle ").replace("\\]", "\\)");
    return box;
  }

  function announce(link) {
    if (link === shown) return;
    clearTimeout(timer);
    timer = setTimeout(show, WAIT, link);
    const leave = ({ relatedTarget }) => {
      if (box.contains(relatedTarget) || link.contains(relatedTarget)) return;
      for (const each of [link, box]) each.removeEventListener("mouseleave", leave);
      link.removeEventListener("focusout", leave);
      hide();
    };
    for (const each of [link, box]) each.addEventListener("mouseleave", leave);
    link.addEventListener("focusout", leave);
  }

  addEventListener("scroll", () => shown && hide(), { passive: true });
  addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  return { announce };
})();
