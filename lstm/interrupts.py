"""Ctrl-C waits while a change is half done: weights and counters change together, or not at all."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold Ctrl-C back to the end of the block, or of the function that this decorates.

    Python interrupts its main thread alone. Who has made another handler of SIGINT gets the signal
    at the end, too; exceptions from handlers of other signals are not held.
    """
    handler, came = signal.getsignal(signal.SIGINT), []
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    signal.signal(signal.SIGINT, lambda *what: came.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(*came[0])
