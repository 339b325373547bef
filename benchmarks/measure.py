"""Start the workers, ask them in turn, and put the figures together."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from lstm_book.recipes.records import cpu

from benchmarks.engines import ENGINES
from benchmarks.shapes import SHAPES

ROOT = Path(__file__).parents[1]
REGIMES = {"native": None, "pinned": "Haswell"}
"""Name → value of OPENBLAS_CORETYPE; None leaves OpenBLAS its own choice."""
MODES = ("inference", "training")


def environment_of(regime: str, threads: int) -> dict[str, str]:
    """Return the environment of a worker: ours, without what tunes any engine's libraries."""
    tuning = ("OPENBLAS_", "GOTO_", "OMP_", "MKL_", "KMP_", "ONEDNN_", "DNNL_", "ATEN_")
    tuning += ("NUMBA_", "LSTM_ENGINE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(tuning)}
    if REGIMES[regime]:
        environment["OPENBLAS_CORETYPE"] = REGIMES[regime]
    for name in ("OMP", "OPENBLAS", "MKL"):
        environment[f"{name}_NUM_THREADS"] = str(threads)
    environment["BENCHMARK_THREADS"] = str(threads)
    return environment


class Worker:
    """A process that runs one engine in its own environment."""

    def __init__(self, engine: str, regime: str, threads: int) -> None:
        environment = environment_of(regime, threads)
        if engine in ENGINES:  # and not a stage of the chapter on whole sequences
            environment |= ENGINES[engine].environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", engine],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, **request: object) -> object:
        """Send a request and wait for the answer."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError(f"a worker ended with status {self.process.returncode}")
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def times(
    engines: Iterable[str], shapes: Iterable[str], regime: str, threads: int, rounds: int
) -> tuple[list[dict], dict]:
    """Time every engine at every shape in one regime.

    In each round each engine has its turn before any has the next one, so that a slower or faster
    minute of the machine meets all of them.

    Returns
    -------
    records : list of dict
        One for each engine, shape and mode, with the median of all calls in milliseconds and the
        medians of the rounds.
    about : dict
        What each worker says of itself.
    """
    workers = {engine: Worker(engine, regime, threads) for engine in engines}
    records = []
    for shape in shapes:
        able = [engine for engine in workers if ENGINES[engine].can(SHAPES[shape])]
        seconds: dict[tuple[str, str], list[list[float]]] = {}
        for _ in range(rounds):
            for mode in MODES:
                for engine in able:
                    if threads > 1:
                        time.sleep(0.3)  # the threads of the engine before spin for a while
                    answer = workers[engine].ask(shape=shape, mode=mode)
                    seconds.setdefault((engine, mode), []).append(answer)
        for (engine, mode), answers in seconds.items():
            record = {"engine": engine, "shape": shape, "mode": mode, "regime": regime}
            record |= {"threads": threads, "calls": sum(map(len, answers))}
            record["ms"] = _ms(statistics.median(t for answer in answers for t in answer))
            record["rounds_ms"] = [_ms(statistics.median(answer)) for answer in answers]
            records.append(record)
            print(f"{shape:14} {mode:9} {engine:21} {regime} x{threads} {record['ms']:10.3f} ms")
    about = {}
    for engine, worker in workers.items():
        about[engine] = worker.ask(about=True)
        worker.__exit__()
    return records, about


def memory(engines: Iterable[str], shapes: Iterable[str]) -> list[dict]:
    """Measure peak memory, each engine, shape and mode in a fresh process of one thread."""
    records = []
    for shape in shapes:
        for mode in MODES:
            for engine in engines:
                if not ENGINES[engine].can(SHAPES[shape]):
                    continue
                with Worker(engine, "native", 1) as worker:
                    answer = worker.ask(memory=shape, mode=mode)
                records.append({"engine": engine, "shape": shape, "mode": mode} | answer)
                print(f"{shape:14} {mode:9} {engine:21} {answer['bytes'] / 2**20:10.1f} MiB")
    return records


def machine() -> dict:
    """Return what somebody needs who compares the figures with his own."""
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 4)
