"""The built pages in Chromium: offline, accessible, light and dark, on laptop and phone."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from itertools import product

import pytest
from playwright.sync_api import Browser, Page

from tests import conftest
from tests.test_book import HTML, PAGES

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]
# axe-core would take minutes for the parts that equations are drawn with, which have no meaning of
# their own, for each word of code (one of each colour and ground is enough), and for hundreds of
# entries of the API reference.
SIMPLIFY = """() => {
  document.querySelectorAll("mjx-math").forEach((drawing) => drawing.remove());
  const seen = new Set();
  for (const word of document.querySelectorAll("div.highlight span[class], td > code")) {
    const ground = word.closest("div.highlight, td").parentElement.className;
    const look = `${word.className} on ${ground}`;
    if (seen.has(look)) word.replaceWith(...word.childNodes);
    seen.add(look);
  }
  // Entries of the API reference all look alike; each page keeps some.
  [...document.querySelectorAll("dl.py")].slice(8).forEach((entry) => entry.remove());
}"""
LAPTOP = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}
# Each is also looked at narrower: half as wide is zoom 200 %, and 320 is the width of WCAG 1.4.10.
NARROW = {1280: 640, 390: 320}
DEVICES = {"laptop": LAPTOP, "phone": PHONE}
OPENED = [path for path in PAGES if path != HTML / "index.html"]  # which only points to the first

pytestmark = [
    pytest.mark.book,
    pytest.mark.browser,
    pytest.mark.skipif(not PAGES, reason="the book is not built: make book"),
]


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served():
    """Return the book's address on loopback; its files' where even loopback is down."""
    if not conftest.loopback_works():
        yield HTML.as_uri()
        return
    handler = partial(QuietHandler, directory=str(HTML))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Visit:
    """A page that remembers what went wrong while it was open."""

    def __init__(self, browser: Browser, base: str, device: dict) -> None:
        self.base = base
        self.context = browser.new_context(**device, reduced_motion="reduce")
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


def test_equations_are_set(visit):
    # MathJax sets a command that it does not know as red text.
    assert visit.page.locator("mjx-merror, mtext[mathcolor=red]").count() == 0
    written, drawn = visit.page.evaluate(
        "[document.querySelectorAll('.math').length,"
        " document.querySelectorAll('.math mjx-container').length]"
    )
    assert drawn >= written


def test_page_does_not_scroll_sideways(visit):
    size = visit.page.viewport_size
    for width in (size["width"], NARROW[size["width"]]):
        visit.page.set_viewport_size({**size, "width": width})
        wide = visit.page.evaluate("document.documentElement.scrollWidth")
        visit.page.set_viewport_size(size)  # also for the tests after a failure
        assert wide <= width


def violations(page: Page, rules: list | dict) -> list[str]:
    """Return what axe-core finds, one line for each element, with its reason."""
    found = page.evaluate(
        "rules => axe.run(document, {resultTypes: ['violations'], runOnly: rules})", rules
    )
    return [
        f"{violation['id']}: {node['target']}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def test_page_is_accessible(visit):
    visit.page.evaluate(AXE)
    visit.page.evaluate(SIMPLIFY)
    phone = visit.page.viewport_size["width"] == PHONE["viewport"]["width"]
    assert visit.page.evaluate("document.documentElement.dataset.theme") == (
        "dark" if phone else "light"
    )
    # The phone's page is the laptop's but for its colours and where things stand.
    rules = {"type": "rule", "values": LOOKS} if phone else WCAG
    assert violations(visit.page, rules) == []


def test_search_finds_a_page(visits):
    page = visits["laptop"].open("search.html?q=sequence")
    page.wait_for_selector("#search-results li a")
    assert visits["laptop"].errors == []


def test_keyboard_reaches_the_text_first(visits):
    page = visits["laptop"].open("book/intro.html")
    page.keyboard.press("Tab")
    focused = page.evaluate_handle("document.activeElement").as_element()
    assert focused.get_attribute("href") == "#main-content"
    assert focused.is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
