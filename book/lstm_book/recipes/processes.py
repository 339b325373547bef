"""The processes that ``torchrun`` started for one training, or one alone; and who may stop them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from lstm import checks


def _from_torchrun(name: str, low: int, high: int) -> int:
    text = os.environ.get(name)
    number = int(text) if text and text.isdecimal() and len(text) < 10 else text
    wanted = f"{name}, which torchrun sets,"
    return checks.positive_int(wanted, number, minimum=low, maximum=high)


COUNT = _from_torchrun("WORLD_SIZE", 1, 1_000_000) if "WORLD_SIZE" in os.environ else 1
"""How many processes ``torchrun`` started together, this one counted."""
IS_FIRST = COUNT == 1 or _from_torchrun("RANK", 0, COUNT - 1) == 0


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """Join the other processes, if there are any, and wait for them at the end.

    After an error the process stays joined until it ends, which it does when it has said what is
    wrong: to leave earlier would be an error to the others, and ``torchrun`` ends all at the first.
    """
    if COUNT == 1:
        yield
        return
    import torch
    from torch import distributed

    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(_from_torchrun("LOCAL_RANK", 0, COUNT - 1))
    # The others wait while the first one computes a baseline.
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(days=1))
    yield
    distributed.barrier()
    distributed.destroy_process_group()


def from_first(compute: Callable[[], Any]) -> Any:
    """Return in every process what the first one computes; its error ends them all."""
    if COUNT == 1:
        return compute()
    from torch import distributed

    content = [None, None]
    if IS_FIRST:
        try:
            content[0] = compute()
        except (ValueError, RuntimeError, OSError) as error:
            content[1] = error
    distributed.broadcast_object_list(content)
    if content[1] is not None:
        leave_it_to_the_first()
        raise content[1]
    return content[0]


def leave_it_to_the_first() -> None:
    """End every process but the first, because of an error that all have.

    Their status is 0: at another one ``torchrun`` would end the first before it has said what is
    wrong.
    """
    if not IS_FIRST:
        raise SystemExit(0)


def largest(number: int, device: str) -> int:
    """Return the largest of all processes' numbers: they stop after the same step."""
    if COUNT == 1:
        return number
    import torch
    from torch import distributed

    numbers = torch.tensor(number, device=device)
    distributed.all_reduce(numbers, distributed.ReduceOp.MAX)
    return int(numbers)


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end, and it was safe to do so."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """The first signal that came, if one did; it ends the program at once where it is not held."""

    number, is_held = 0, False

    def take(self, number: int, _: object) -> None:
        """Take a signal; later ones are let pass."""
        if not self.number:
            self.number = number
            if not self.is_held:
                raise Stopped(number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back to the end of the block."""
        self.is_held = True
        try:
            yield
        finally:
            self.is_held = False
        if self.number:
            raise Stopped(self.number)


@contextlib.contextmanager
def signals(to_the_end: bool) -> Iterator[Signals]:
    """Take what Ctrl-C, a batch system and a closed terminal send.

    With ``to_the_end`` later ones are let pass after the block, too: the process ends then.
    """
    taken, before = Signals(), {}
    is_main = threading.current_thread() is threading.main_thread()  # no other has signals
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # A shell starts what runs in its background deaf to Ctrl-C, nohup to SIGHUP.
        is_deaf = number and signal.getsignal(number) is signal.SIG_IGN
        if number and is_main and (not is_deaf or name == "SIGTERM"):
            before[number] = signal.signal(number, taken.take)
    try:
        yield taken
    finally:
        for number, handler in before.items():
            deaf = taken.number and to_the_end
            signal.signal(number, signal.SIG_IGN if deaf else handler or signal.SIG_DFL)
