"""One engine in a process of its own: reads requests from stdin, answers on stdout, JSON lines.

``python -m benchmarks.worker ENGINE``; requests are ``{"shape": ..., "mode": ...}``, the answer is
a list of seconds. ``{"memory": ...}`` is answered by bytes, ``{"about": true}`` by versions.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

THREADS = int(os.environ["BENCHMARK_THREADS"])
# One thread is not charged for what other programs do; of several, all would be added up.
CLOCK = time.process_time if THREADS == 1 else time.perf_counter
if hasattr(os, "sched_setaffinity"):
    # JAX has no other limit; the others are held to the same processors.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-THREADS:])

from benchmarks.engines import ENGINES  # noqa: E402 - libraries count the processors at import
from benchmarks.shapes import SHAPES, Shape  # noqa: E402

MODES = ("inference", "training")
ENOUGH = 0.1
"""Seconds of one request, about; at least one call."""


def seconds(call: Callable[[], object]) -> list[float]:
    """Warm up, then time calls until :data:`ENOUGH`."""
    call()
    times: list[float] = []
    gc.collect()
    while sum(times) < ENOUGH and len(times) < 100:
        start = CLOCK()
        call()
        times.append(CLOCK() - start)
    return times


def peak_memory(build: Callable, shape: Shape, mode: str) -> dict[str, int]:
    """Return by how much the resident memory of this (fresh) process grew in three calls.

    Libraries, thread pools and the layer's own weights are there before: the same pass has been
    run on a batch of four short sequences. The input is made before, so it does not count; the
    output and, in training, the gradient of the input do.
    """
    small = build(shape._replace(B=4, T=10))[MODES.index(mode)]
    small()
    call = build(shape)[MODES.index(mode)]
    gc.collect()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="utf-8"
    )  # sets the high-water mark to what is now
    for _ in range(3):
        call()
    return {"bytes": status("VmHWM") - before}


def status(field: str) -> int:
    """Return a size from ``/proc/self/status`` in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def about() -> dict:
    """Return what decides the speed of this process: versions, BLAS, threads."""
    import threadpoolctl

    names = ("numpy", "torch", "jax", "keras", "numba")
    versions = {n: importlib.metadata.version(n) for n in names if n in sys.modules}
    pools = [
        {key: pool.get(key) for key in ("internal_api", "architecture", "num_threads", "version")}
        for pool in threadpoolctl.threadpool_info()
    ]
    return {"versions": versions, "thread_pools": pools}


def main(name: str) -> None:
    """Answer requests until stdin ends."""
    if "torch" in ENGINES[name].needs or name == "Keras":
        import torch

        torch.set_num_threads(THREADS)
    built: dict[str, tuple] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "about" in request:
            answer = about()
        elif "memory" in request:
            answer = peak_memory(ENGINES[name].build, SHAPES[request["memory"]], request["mode"])
        else:
            shape = request["shape"]
            if shape not in built:
                built.clear()  # one shape at a time, or the caches would be shared
                built[shape] = ENGINES[name].build(SHAPES[shape])
            answer = seconds(built[shape][MODES.index(request["mode"])])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
