"""The processes that ``torchrun`` started for one training, or one alone; and who may stop them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any


def count() -> int:
    """Return how many processes ``torchrun`` started together with this one, itself counted."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Processes:
    """All processes of a training, entered together; :attr:`rank` is this one's number."""

    def __init__(self, device: str) -> None:
        self.device, self.several = device, count() > 1
        self.rank = int(os.environ["RANK"]) if self.several else 0

    def __enter__(self) -> Processes:
        if self.several:
            import torch

            on_gpu = self.device.startswith("cuda")
            if on_gpu:
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            # The others wait while the first one computes a baseline.
            torch.distributed.init_process_group(
                "nccl" if on_gpu else "gloo", timeout=timedelta(days=1)
            )
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.several:
            from torch import distributed

            try:
                if kind is None:
                    distributed.barrier()
            finally:
                distributed.destroy_process_group()

    def from_first(self, compute: Callable[[], Any]) -> Any:
        """Return in every process what the first one computes; its error is the error of all."""
        if not self.several:
            return compute()
        from torch import distributed

        content = [None, None]
        if self.rank == 0:
            try:
                content[0] = compute()
            except (ValueError, RuntimeError, OSError) as error:
                content[1] = error
        distributed.broadcast_object_list(content)
        if content[1] is not None:
            raise content[1]
        return content[0]

    def largest(self, number: int) -> int:
        """Return the largest of all processes' numbers: they stop after the same step."""
        if not self.several:
            return number
        import torch

        numbers = torch.tensor(number, device=self.device)
        torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
        return int(numbers)


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end, and it was safe to do so."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """Takes what Ctrl-C, a batch system and a closed terminal send; later ones are let pass.

    With ``to_the_end`` also after the block, because the process ends then.
    """

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self, to_the_end: bool) -> None:
        self.number, self._is_held, self._to_the_end = 0, False, to_the_end
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # no other has signals
            for number in (getattr(signal, name) for name in self.NAMES if hasattr(signal, name)):
                before = signal.getsignal(number)
                # A shell starts what runs in its background deaf to Ctrl-C, nohup to SIGHUP.
                if before is not signal.SIG_IGN or number == signal.SIGTERM:
                    self._before[number] = before
                    signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        deaf = self.number and self._to_the_end
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_IGN if deaf else before or signal.SIG_DFL)

    def _take(self, number: int, _: object) -> None:
        if not self.number:
            self.number = number
            if not self._is_held:
                raise Stopped(number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back to the end of the block."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self.number:
            raise Stopped(self.number)
