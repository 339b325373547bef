"""What command lines share: no traceback for anything that a user can type or a system can do."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable

ERRORS = (ValueError, RuntimeError, ImportError, OSError, MemoryError, OverflowError)


def exit_status(program: str, run: Callable[[], int | None]) -> int:
    """Run a program and return its exit status; say in a sentence what stopped it.

    Parameters
    ----------
    program : str
        Its name, as messages begin.
    run : callable
        The program; returns its exit status, or None for 0.

    Returns
    -------
    int
        1 after an error; 128 and the number of the signal where a signal, or the end of a pipe
        (as behind ``| head``), ended it.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no ±
    try:
        status = run() or 0
        if sys.stdout is not None:
            sys.stdout.flush()  # now, and not where nobody could tell what happened
    except KeyboardInterrupt as stopped:
        return 128 + getattr(stopped, "number", signal.SIGINT)
    except BrokenPipeError:
        drop_output()
        return 128 + getattr(signal, "SIGPIPE", 13)
    except ERRORS as error:
        drop_output()
        tell(f"{program}: {str(error) or type(error).__name__}")
        return 1
    return status


def drop_output() -> None:
    """Forget what could not be written: Python would try again at its end, and complain."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(message: str) -> None:
    """Say something that is no result."""
    print(wrapped(message, indent=""), file=sys.stderr)


def wrapped(text: str, indent: str = "    ") -> str:
    """Return a text in lines that fit the terminal, of at most 80 columns."""
    width = min(80, max(40, shutil.get_terminal_size().columns))
    how = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, width, subsequent_indent=indent, **how)
