"""What all tests share: repeatable examples, no network, skips that say what is missing."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import hypothesis.configuration
import pytest

ROOT = Path(__file__).resolve().parent.parent
# What takes longest is started first, so that no worker ends alone with it; then other notebooks.
LONGEST = (
    "test_browser.py",
    "test_recipes.py",
    "13_mnist_rows.ipynb",
    "12_movie_reviews.ipynb",
    "test_mutants.py",
    "09_training.ipynb",
    "10_pytorch.ipynb",
    "test_widgets.py",
    "06_one_cell.ipynb",
    "test_elsewhere.py",
    "test_pdf.py",
)

# The same examples on every machine; a slow machine is no failure.
hypothesis.configuration.set_hypothesis_home_dir(ROOT / "_build" / "hypothesis")
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Let nbval talk to its kernels through files."""
    # A shell starts what runs in its background deaf to Ctrl-C, which some tests are about.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not config.pluginmanager.hasplugin("nbval"):
        return
    import nbval.kernel
    from lstm_book.press.execute import through_files

    sockets = tempfile.mkdtemp(prefix="kernels-")
    config.add_cleanup(functools.partial(shutil.rmtree, sockets, ignore_errors=True))
    manager = nbval.kernel.KernelManager

    def kernel_manager(**kwargs):
        folder = tempfile.mkdtemp(dir=sockets)
        return manager(**through_files(folder), **kwargs)

    nbval.kernel.KernelManager = kernel_manager


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; what is in a file keeps its order."""

    def place(item: pytest.Item) -> int:
        if item.path.name in LONGEST:
            return LONGEST.index(item.path.name)
        return len(LONGEST) + (item.path.suffix != ".ipynb")

    items.sort(key=place)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say what is missing."""
    if item.get_closest_marker("full_data") and full_data() is None:
        pytest.skip("needs the full data sets: name their folder in LSTM_DATA")
    if item.get_closest_marker("book") and not (ROOT / "_build" / "html" / "index.html").exists():
        pytest.skip("the book is not built: make book")
    if item.get_closest_marker("browser") and browser() is None:
        pytest.skip("needs Chromium (on Debian: apt install chromium)")


def full_data() -> Path | None:
    """Return the folder of the full data sets, if LSTM_DATA names one that is there."""
    folder = os.environ.get("LSTM_DATA")
    return Path(folder) if folder and Path(folder).is_dir() else None


def browser() -> str | None:
    """Return the path of a Chromium or Chrome on this machine."""
    from lstm_book.press import pdf  # the browser that prints the book also opens its pages

    return pdf.browser()


PATIENCE = 120_000
"""Milliseconds that a test waits for a page: a busy machine is no failure."""


@pytest.fixture(scope="module")
def chromium():
    """Start Chromium; a page that asks for anything but files and loopback is refused."""
    from playwright.sync_api import expect, sync_playwright

    # A container's root user cannot start Chromium's sandbox; the pages are our own.
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=browser(),
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        new_context = started.new_context

        def patient(**options):
            context = new_context(**options)
            context.set_default_timeout(PATIENCE)
            return context

        started.new_context = patient
        expect.set_options(timeout=PATIENCE)
        yield started
        started.close()


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Refuse every connection that would leave this machine: tests give the same result offline."""
    connect = socket.socket.connect

    def refuse(self, address):
        local = self.family == getattr(socket, "AF_UNIX", None) or (
            isinstance(address, tuple) and address[0] in {"127.0.0.1", "::1", "localhost"}
        )
        if not local:
            raise ConnectionRefusedError(f"tests use no network, got a connection to {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        yield


def loopback_works() -> bool:
    """Whether a program can talk to itself; in a fresh network namespace it cannot."""
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.settimeout(5)
        try:
            client.connect(server.getsockname())
        except OSError:
            return False
    return True


@pytest.fixture(scope="session")
def loopback() -> None:
    """Skip where loopback is down."""
    if not loopback_works():
        pytest.skip("needs the loopback network, which is down here")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve files without a word, also to a page that is left meanwhile."""

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()


@contextlib.contextmanager
def serving(handler: Callable) -> Iterator[str]:
    """Serve on loopback in a thread, and give the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def checkout(*folders: Path | str) -> dict[str, str]:
    """Return the environment of a process that imports these folders' modules, then ours."""
    path = map(str, (*folders, ROOT, ROOT / "book"))
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def torchrun(*words: Path | str, path: Sequence[Path] = ()) -> subprocess.CompletedProcess:
    """Run a program in two processes of one training, of one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
    environment = checkout(*path) | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    hangs = 1800  # seconds, on the slowest machine too
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=hangs, env=environment
    )
