"""The built pages in Chromium: offline, accessible, light and dark, on laptop and phone."""

from __future__ import annotations

import re
import tomllib
from functools import partial
from importlib import resources
from itertools import product

import pytest
from playwright.sync_api import Browser, Page

from tests import conftest
from tests.book.test_book import HTML, PAGES, parse

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RULES = {"color-contrast": {"enabled": False}}
# What axe-core does not look for unless it is told to.
RULES |= {
    rule: {"enabled": True}
    for rule in ("label-content-name-mismatch", "td-has-header", "empty-table-header")
}
# What depends on colours and on where things stand, besides contrast.
PLACES = ["link-in-text-block", "scrollable-region-focusable", "target-size"]
# Open what is closed: nobody shall find a fault there that axe-core did not see.
OPEN = """() => {
  document.querySelectorAll("details").forEach((each) => (each.open = true));
}"""
# Contrast takes axe-core most of its time, and is the same for all text of one colour, size and
# weight on one ground: it looks at the first of each kind, on the whole page.
LOOKS = """() => {
  const grounds = new Map([[null, ""]]);
  const ground = (element) => {
    if (!grounds.has(element)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(element);
      const look = `${backgroundColor} ${backgroundImage} ${opacity};`;
      const own = look === "rgba(0, 0, 0, 0) none 1;" ? "" : look;
      grounds.set(element, own + ground(element.parentElement));
    }
    return grounds.get(element);
  };
  const looks = new Map();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("script, style, mjx-container")) continue;
    if (!element.checkVisibility()) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(element);
    const look = [color, fontSize, fontWeight, ground(element)].join("|");
    if (!looks.has(look)) looks.set(look, element);
  }
  window.looks = [...looks.values()];
}"""
# What equations are drawn with, and the words of code, have no meaning of their own. (What is read
# aloud in the place of a drawing is 1 pixel wide: it keeps that room at the end of a line.)
NO_GLYPHS = """document.querySelectorAll("mjx-math").forEach((drawing) => {
  drawing.parentElement.style.paddingRight = "1px";
  drawing.remove();
})"""
NO_WORDS = "document.querySelectorAll('pre').forEach((e) => (e.textContent = e.textContent))"
SHIFTS = """window.shift = 0;
new PerformanceObserver((list) => {
  for (const { value } of list.getEntries()) window.shift += value;
}).observe({ type: "layout-shift", buffered: true });
window.themes = new Set();
const note = () => window.themes.add(document.documentElement?.dataset.theme);
addEventListener("DOMContentLoaded", note);
requestAnimationFrame(function each() { note(); requestAnimationFrame(each); });"""
LAPTOP = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}
# Each is also looked at narrower: half as wide is zoom 200 %, and 320 is the width of WCAG 1.4.10.
NARROW = {1280: 640, 390: 320}
DEVICES = {"laptop": LAPTOP, "phone": PHONE}
OPENED = [path for path in PAGES if path != HTML / "index.html"]  # which only points to the first

pytestmark = [pytest.mark.book, pytest.mark.browser]


@pytest.fixture(scope="module")
def served():
    """Return the book's address on loopback; its files' where even loopback is down."""
    if not conftest.loopback_works():
        yield HTML.as_uri()
        return
    with conftest.serving(partial(conftest.Quiet, directory=HTML)) as address:
        yield address


class Visit:
    """A page that remembers what went wrong while it was open."""

    def __init__(self, browser: Browser, base: str, device: dict) -> None:
        self.base = base
        self.context = browser.new_context(**device, reduced_motion="reduce")
        self.context.add_init_script(SHIFTS)
        self.page: Page = self.context.new_page()
        self.elsewhere: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self._request)
        self.page.on("requestfailed", lambda request: self.errors.append(request.url))
        self.page.on("response", self._response)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)

    def _request(self, request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def _response(self, response) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status} {response.url}")

    def _console(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def open(self, address: str) -> Page:
        self.elsewhere, self.errors = [], []
        self.page.goto(f"{self.base}/{address}")
        # Equations are set after the page has loaded.
        self.page.wait_for_function("!window.MathJax || MathJax.startup?.promise")
        self.page.evaluate("window.MathJax?.startup?.promise?.then(() => true)")
        return self.page


@pytest.fixture(scope="module")
def visits(chromium, served):
    """Give each device one window: the laptop opens files, the phone asks a server."""
    windows = {
        "laptop": Visit(chromium, HTML.as_uri(), LAPTOP),
        "phone": Visit(chromium, served, PHONE),
    }
    yield windows
    for window in windows.values():
        window.context.close()


@pytest.fixture(
    scope="module",
    params=product(OPENED, DEVICES),
    ids=lambda pair: f"{pair[0].relative_to(HTML).with_suffix('')}-{pair[1]}",
)
def visit(visits, request):
    """Open one page on one device, for all the tests that look at it."""
    path, device = request.param
    visits[device].open(str(path.relative_to(HTML)))
    return visits[device]


# A page is opened once, and all tests of one page run before the next is opened.
def test_page_asks_for_nothing_elsewhere(visit):
    assert visit.elsewhere == []
    assert visit.errors == []


def test_page_stands_still_while_it_comes_up(visit):
    """Formulas move the text around them; the dark page on the phone, and the light one."""
    visit.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert visit.page.evaluate("window.shift") < 0.02


def test_equations_are_set(visit):
    # MathJax sets a command that it does not know as red text.
    assert visit.page.locator("mjx-merror, mtext[mathcolor=red]").count() == 0
    written, drawn = visit.page.evaluate(
        "[document.querySelectorAll('.math').length,"
        " document.querySelectorAll('.math mjx-container').length]"
    )
    assert drawn >= written


def test_a_formula_can_be_read_from_end_to_end(visit):
    """Where it is wider than the page, its box moves sideways, and fades out until it does."""
    unread = """() => [...document.querySelectorAll(".bd-article div.math")].filter((box) => {
      const letters = [...box.querySelectorAll("mjx-c")].map((c) => c.getBoundingClientRect());
      if (!box.checkVisibility() || !letters.length) return false;
      const { left, right } = box.getBoundingClientRect();
      const wide = Math.max(...letters.map((letter) => letter.right)) - right;
      if (Math.min(...letters.map((letter) => letter.left)) < left - 2) return true;
      if (wide > 8 && !box.classList.contains("cut")) return true;
      box.scrollLeft = wide;
      return box.scrollLeft < wide - 8;
    }).map((box) => box.textContent.slice(0, 60))"""
    visit.page.evaluate(OPEN)
    visit.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert visit.page.evaluate(unread) == []
    # So little is too wide for a phone of 390 pixels that its letters can be smaller: 11 at least.
    sizes = """[...document.querySelectorAll(".bd-article .math > mjx-container")]
      .map((formula) => parseFloat(getComputedStyle(formula).fontSize))"""
    assert visit.page.locator(".bd-article .math.cut").count() == 0
    assert min(visit.page.evaluate(sizes), default=11) >= 11


def test_page_does_not_scroll_sideways(visit):
    size = visit.page.viewport_size
    for width in (size["width"], NARROW[size["width"]]):
        visit.page.set_viewport_size({**size, "width": width})
        try:  # an interactive figure draws itself anew a moment after the page has a new width
            visit.page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        finally:
            visit.page.set_viewport_size(size)  # also for the tests after a failure


# Instruments whose numbers are those of a step that one would have to scroll to.
UNSEEN = """() => [...document.querySelectorAll(".watch-scroll")].filter((scroll) => {
  const box = scroll.getBoundingClientRect();
  const marker = scroll.querySelector(".watch-marker").getBoundingClientRect();
  return marker.left < box.left || marker.right > box.right;
}).map((scroll) => scroll.closest("figure").id)"""


def test_what_an_instrument_tells_is_in_view(visit):
    assert visit.page.evaluate(UNSEEN) == []


# Drawings wider than a phone: boxes and lines, and tables of numbers, have no other places.
SIDEWAYS = {
    *("fig-backward-graph", "fig-backward-step", "fig-outer-product", "fig-closures"),
    *("fig-step-size", "fig-memory", "fig-reverse", "fig-stacked-bidirectional", "fig-ends"),
    *("fig-mnist-digits", "fig-mnist-misread"),
}
LETTERS = """() => [...document.querySelectorAll(".drawing > svg g[transform*=' scale(0.']")]
  .filter((text) => text.checkVisibility())
  .map((text) => text.parentElement.getScreenCTM().a * 100
    * parseFloat(text.getAttribute("transform").match(/scale\\((.*?) -/)[1]))"""
WIDE = """[...document.querySelectorAll(".drawing")]
  .filter((box) => box.scrollWidth > box.clientWidth)
  .map((box) => box.closest("figure").id)"""


def test_charts_can_be_read_and_a_phone_shows_them_whole(visit):
    visit.page.evaluate(OPEN)
    assert min(visit.page.evaluate(LETTERS), default=11) >= 10.99
    assert set(visit.page.evaluate(WIDE)) <= SIDEWAYS


# What is wrong with how a phone wraps lines of code: a rest that does not hang right of where its
# line begins, an empty row, an end within a name; and how many rows hang.
ROWS = """() => {
  const faults = [], place = document.createRange();
  let hanging = 0;
  for (const line of document.querySelectorAll("div.cell_input pre > .line")) {
    const { fontSize, lineHeight } = getComputedStyle(line);
    const box = line.getBoundingClientRect();
    if (box.height < 1.5 * parseFloat(lineHeight)) continue;
    const begin = box.left + line.textContent.match(/^ */)[0].length * 0.6 * parseFloat(fontSize);
    const texts = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
    let before = "", row = box.top;
    while (texts.nextNode()) {
      [...texts.currentNode.data].forEach((letter, at) => {
        place.setStart(texts.currentNode, at);
        place.setEnd(texts.currentNode, at + 1);
        const { left, top } = [...place.getClientRects()].at(-1);
        if (top > row + 8) {
          if (before) hanging += 1;
          if (before && letter.trim() && left < begin + 8) faults.push(`hangs left: ${before}`);
          if (before && !before.trim()) faults.push(`an empty row: ${line.innerText}`);
          if (/\\w$/.test(before) && /\\w/.test(letter)) faults.push(`${before}|${letter}`);
          row = top;
        }
        before += letter;
      });
    }
  }
  return { hanging, faults };
}"""


def test_code_keeps_its_shape_on_a_phone(visit):
    """A line goes on below, right of where it begins; nothing must be moved sideways."""
    if visit.page.viewport_size["width"] != PHONE["viewport"]["width"]:
        return
    visit.page.evaluate(OPEN)
    rows = visit.page.evaluate(ROWS)
    assert rows["faults"] == []
    if re.search(r"/\d\d_[^/]*$", visit.page.url):
        assert rows["hanging"] > 10
    wide = "[...document.querySelectorAll('div.cell_input pre.wide')].map((pre) => pre.innerText)"
    assert visit.page.evaluate(wide) == []


# Each place that the keyboard reaches, as a person sees it there; formulas are none.
STOPS = """() => {
  const unseen = (event) => event.stopImmediatePropagation(); // no preview opens while we go on
  addEventListener("focusin", unseen, true);
  const able = "a[href], button, input, select, textarea, summary, [tabindex]";
  const faults = [];
  for (const element of document.querySelectorAll(able)) {
    if (element.disabled || element.tabIndex < 0 || element.closest("dialog:not([open])")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const fault = (what) => faults.push(`${what}: ${element.outerHTML.slice(0, 100)}`);
    element.focus();
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
    const plain = outlineStyle === "none" || !parseFloat(outlineWidth);
    const box = element.getBoundingClientRect();
    if (document.activeElement !== element) fault("takes no focus");
    if (element.tabIndex > 0) fault("comes out of turn");
    if (element.matches("mjx-container")) fault("a formula");
    if (!box.width || !box.height || box.bottom < 0 || box.top > innerHeight) fault("not seen");
    if (plain && boxShadow === "none") fault("not marked");
  }
  document.activeElement.blur();
  removeEventListener("focusin", unseen, true);
  scrollTo(0, 0);
  return faults;
}"""


def test_keyboard_sees_where_it_is(visit):
    visit.page.evaluate(OPEN)
    visit.page.keyboard.press("Tab")  # what is focused by a script is marked from now on
    assert visit.page.evaluate(STOPS) == []


def violations(page: Page, where: str, options: dict) -> list[str]:
    """Return what axe-core finds, one line for each element, with its reason."""
    found = page.evaluate(
        f"options => axe.run({where}, {{resultTypes: ['violations'], preload: false, ...options}})",
        options,
    )
    return [
        f"{violation['id']}: {node['target']}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def test_page_is_accessible(visit):
    page = visit.page
    phone = page.viewport_size["width"] == PHONE["viewport"]["width"]
    theme = page.evaluate("document.documentElement.dataset.theme")
    assert theme == ("dark" if phone else "light")
    page.evaluate(AXE)
    for step in (OPEN, LOOKS, NO_GLYPHS):
        page.evaluate(step)
    assert violations(page, "{include: looks}", {"runOnly": ["color-contrast"]}) == []
    page.evaluate(NO_WORDS)
    # The phone's page is the laptop's but for its colours and where things stand.
    rules = {"runOnly": PLACES} if phone else {"runOnly": WCAG, "rules": RULES}
    assert violations(page, "document", rules) == []


def test_a_line_of_code_fits_into_its_box(visits):
    length = tomllib.loads((HTML.parents[1] / "book" / "ruff.toml").read_text(encoding="utf-8"))[
        "line-length"
    ]
    page = visits["laptop"].open("book/06_one_cell.html")
    page.evaluate(OPEN)
    boxes = """length => [...document.querySelectorAll("div.cell pre")].map((box) => {
      box.textContent = "x".repeat(length);
      return box.scrollWidth - box.clientWidth;
    })"""
    assert max(page.evaluate(boxes, length)) <= 0
    assert min(page.evaluate(boxes, length + 4)) > 0


# What somebody looks for; the first place that is found is about it, or about what it is here.
TERMS = """forget gate, gradient clipping, cell state, peephole, vanishing gradient, dropout,
embedding, padding, length, complex step, half-life, orthogonal, checkpoint, projection,
truncated backpropagation, bidirectional, GRU, softmax, cross-entropy"""
TERMS = {term: term for term in re.split(r",\s+", TERMS)}
TERMS |= {"lengths": "length", "perplexity": "Bits a character"}
TERMS |= dict.fromkeys(("Adam", "RMSprop", "momentum"), "The line of the step")
TERMS |= dict.fromkeys(("teacher forcing", "stateful"), "An LSTM that writes")
# What a reader of Chinese types: the page in that language, or a term of the glossary.
TERMS |= dict.fromkeys(("中文", "五篇文章", "六行公式", "逐式推导", "看它怎样记忆"), "逐式推导")
TERMS |= {"遗忘门": "forget gate", "梯度消失": "vanishing gradient"}

# Where a term is defined: the first section that is found, behind no more than the glossary.
DEFINED = {
    "02": {
        "backpropagation-through-time-in-four-steps": "BPTT",
        "how-long-is-a-product-of-matrices": "vanishing gradient, 梯度消失, exploding gradients",
        "truncated-backpropagation": "truncated backpropagation",
    },
    "03": {
        "a-gate-a-number-between-0-and-1": "gate, sigmoid",
        "forget-gate-what-stays": "forget gate, 遗忘门",
        "cell-state-what-is-remembered": "cell state",
    },
    "04": {"three-rules": "Hadamard product, saturation, saturate, saturated"},
    "06": {"what-a-module-promises": "vjp", "three-judges": "gradient check, gradient checking"},
    "07": {"any-length": "padding, mask", "both-directions": "bidirectional"},
    "09": {
        "a-loop-that-steps-downhill": "one-hot, batch size",
        "the-line-of-the-loss": "softmax, cross-entropy",
        "the-line-of-the-step": "learning rate, learning rates, momentum, optimizer",
        "clipping": "gradient clipping, clipped gradients",
        "where-to-start": "initialise, initialize, initialization, orthogonal initialization",
        "when-to-stop-validation": "validation set, overfitting",
        "when-to-stop-patience": "patience, early stopping",
        "stop-and-go-on": "checkpoint",
    },
    "10": {
        "sequences-of-different-length": "packed sequence",
        "weights-move-either-way": "state dict",
    },
}


def words(text):
    return re.sub(r"\W+", " ", text.lower())


def test_search_finds_first_what_defines_a_term(visits):
    page = visits["laptop"].open("search.html?q=gate")  # opened as a file: nothing can be fetched
    page.wait_for_selector(".search-results mark")
    first = {}
    for term in TERMS:
        page.locator("main input").fill(term)
        first[term] = page.locator("main .search-where").first.inner_text()
    wrong = {t: first[t] for t, about in TERMS.items() if words(about) not in words(first[t])}
    assert wrong == {}
    page.locator("main .search-results a").first.click()
    assert page.locator(":target").inner_text().startswith("vanishing gradient")
    assert visits["laptop"].errors == []


def test_search_finds_the_section_that_defines_a_term(visits):
    page = visits["laptop"].open("search.html")
    wrong = {}
    for chapter, sections in DEFINED.items():
        for section, terms in sections.items():
            for term in terms.split(", "):
                page.locator("main input").fill(term)
                links = page.locator("main .search-results a")
                found = [link.get_attribute("href") for link in links.all()[:2]]
                first = next((each for each in found if "#term-" not in each), "")
                if not re.search(rf"/{chapter}_\w+\.html#{section}$", first):
                    wrong[term] = found
    assert wrong == {}


def test_search_takes_either_spelling_and_any_ending(visits):
    page = visits["laptop"].open("search.html")
    for same in ("initialise, initialize, initialization", "layer normalization, layer normalised"):
        counts = []
        for term in same.split(", "):
            page.locator("main input").fill(term)
            counts.append(page.locator("main .search-where").count())
            assert page.locator("main .search-results mark").count() > 0
        assert len(set(counts)) == 1
        assert counts[0] > 1


def test_search_opens_on_every_page(visits):
    page = visits["laptop"].open("book/03_gates.html")
    assert page.evaluate("window.bookIndex === undefined")  # loaded when somebody searches
    page.keyboard.press("Control+k")
    page.keyboard.type("constant error carousel")
    page.locator("dialog .search-results a").first.click()
    page.wait_for_url("**/glossary.html#term-constant-error-carousel")


def test_a_link_shows_what_it_leads_to(visits):
    page = visits["laptop"].open("book/04_backpropagation.html")
    page.locator('article a.internal[href^="03"][href*="#equation-"]:visible').first.hover()
    page.wait_for_selector("#preview mjx-container", state="visible")
    page.keyboard.press("Escape")
    assert page.locator("#preview").is_hidden()
    source = 'article a.internal[href^="bibliography.html#cite-"]'
    citing = next(path for path in PAGES if parse(path).select(source))
    page = visits["laptop"].open(str(citing.relative_to(HTML)))
    page.locator(source).first.focus()
    page.wait_for_selector("#preview", state="visible")
    assert re.search(r"\b(19|20)\d\d\b", page.locator("#preview").inner_text())


# ----------------------------------------------------------------------------- how a page comes up
@pytest.mark.parametrize("name", ["intro", "03_gates", "04_backpropagation"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_dark_page_is_dark_at_once_and_stands_still(chromium, name, width):
    size = {"width": width, "height": 800}
    with chromium.new_context(viewport=size, color_scheme="dark") as context:
        page = context.new_page()
        page.add_init_script(SHIFTS)
        page.goto(f"{HTML.as_uri()}/book/{name}.html")
        page.evaluate("window.MathJax?.startup.promise.then(() => true)")
        page.evaluate("new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)))")
        assert page.evaluate("window.shift") < 0.02
        assert page.evaluate("[...themes].filter((theme) => theme && theme !== 'dark')") == []
        assert page.evaluate("getComputedStyle(document.body).fontSize") == "17px"


def test_no_icon_needs_a_font_or_a_script(chromium):
    with chromium.new_context(**LAPTOP) as context:
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{HTML.as_uri()}/book/intro.html")
        page.wait_for_load_state("networkidle")
        assert [url for url in asked if "awesome" in url or "/webfonts/" in url] == []
        icons = page.evaluate(
            "[...document.querySelectorAll('i[class*=fa-], span[class*=fa-]')]"
            ".filter((icon) => !getComputedStyle(icon).maskImage.startsWith('url'))"
            ".map((icon) => icon.className)"
        )
        assert icons == []


def test_what_is_cut_on_a_phone_says_so(visits):
    page = visits["phone"].open("book/03_gates.html")
    page.evaluate(OPEN)
    page.wait_for_function("document.querySelector('.cut')")
    cut = page.evaluate(
        "[...document.querySelectorAll('.bd-article *')].filter((box) =>"
        " ['auto', 'scroll'].includes(getComputedStyle(box).overflowX) && box.checkVisibility()"
        " && box.scrollWidth > box.clientWidth + 8 && !box.classList.contains('cut')"
        ").map((box) => box.outerHTML.slice(0, 80))"
    )
    assert cut == []


def test_keyboard_reaches_the_text_first(visits):
    page = visits["laptop"].open("book/intro.html")
    page.keyboard.press("Tab")
    focused = page.evaluate_handle("document.activeElement").as_element()
    assert focused.get_attribute("href") == "#main-content"
    assert focused.is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


# What has the focus, as a person sees it: where it is, and whether it looks other than before.
FOCUSED = """() => {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    name: element.outerHTML.slice(0, 100),
    seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight
      && element.checkVisibility({ visibilityProperty: true }),
    marked: (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none",
    before: window.last ? Boolean(window.last.compareDocumentPosition(element) & 4) : true,
    body: element === document.body,
    set: Boolean((window.last = element)),
  };
}"""


@pytest.mark.parametrize("name", ["intro", "03_gates"])
def test_keyboard_goes_through_the_page_and_shows_where_it_is(visits, name):
    page = visits["laptop"].open(f"book/{name}.html")
    stops = []
    for _ in range(80):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop["body"]:
            break
        stops.append(stop)
    assert len(stops) > 20
    assert [stop["name"] for stop in stops if not stop["seen"]] == []
    assert [stop["name"] for stop in stops if not stop["marked"]] == []
    assert [stop["name"] for stop in stops if not stop["before"]] == []


def test_nothing_moves_where_motion_is_unwelcome(visits):
    page = visits["laptop"].open("book/ledger.html")
    moving = """() => [...document.querySelectorAll("*")].filter((element) => {
      const { transitionDuration, animationDuration, scrollBehavior } = getComputedStyle(element);
      const seconds = `${transitionDuration},${animationDuration}`.split(",").map(parseFloat);
      return Math.max(...seconds) > 0 || scrollBehavior === "smooth";
    }).map((element) => element.outerHTML.slice(0, 100))"""
    assert page.evaluate(moving) == []
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) != []
    page.emulate_media(reduced_motion="reduce")
