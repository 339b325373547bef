"""How many threads a pass may take."""

from __future__ import annotations

import os


def threads() -> int:
    """Return as many as BLAS takes: OMP_NUM_THREADS, or all that the process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # one number for each level
    if wanted.isdecimal():
        return int(wanted)
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
