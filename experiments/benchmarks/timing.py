"""Time cases in processes of their own, one at a time and in turns; standard library only, for peers import it too.

A worker is a script that calls `serve(prepare)`. It says on its standard output, in JSON lines, first its set-up facts
and then, for every line that it is sent, how one run of its case went. `measure` starts the workers of a group and
sends each a line in turn: what drifts on the machine, drifts for all. An idle worker waits on a pipe.
"""

import contextlib
import json
import os
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
IMPORTS = (HERE, HERE / "peers", HERE.parents[1])  # what workers may import: this file, their neighbours, halo_jax
LIMIT_S = 1800.0  # longer than any set-up or run
QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",  # threads without work sleep at once
    "KMP_BLOCKTIME": "0",
    "JAX_TRACEBACK_FILTERING": "off",  # so that the last line of a failure names it
}
CACHES = ("JAX_COMPILATION_CACHE_DIR",)  # a warm cache would hide what compiling costs

Run = Callable[[], dict | None]


# --- the worker's side


def serve(prepare: Callable[[], tuple[dict, Run]], *, warm_up: bool = True) -> None:
    """Prepare a case, run it once to warm up, then run it once for every line on standard input.

    `prepare()` returns (facts, run); `run()` returns when all its work is done, and may return fields to record.
    """
    requests, replies = _take_standard_streams()
    started = time.perf_counter()
    facts, run = prepare()
    facts = {"prepare_seconds": time.perf_counter() - started, **facts}
    if warm_up:
        facts["first_run_seconds"] = _timed(run)["seconds"]
    _send(replies, {**facts, "python": sys.version.split()[0], "peak_rss_mb": peak_rss_mb()})
    rested = cpu_seconds()
    for _ in requests:
        idle = cpu_seconds() - rested
        sample = _timed(run)
        rested = cpu_seconds()
        _send(replies, {**sample, "idle_cpu_seconds": idle, "peak_rss_mb": peak_rss_mb()})


def _take_standard_streams():
    """Keep the pipes for the protocol: what libraries print goes to standard error, and nobody else reads."""
    requests, replies = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    sys.stdout.flush()
    os.dup2(2, 1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    return requests, replies


def _send(replies, message: dict) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def _timed(run: Run) -> dict:
    cpu, started = cpu_seconds(), time.perf_counter()
    more = run()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu, **(more or {})}


def cpu_seconds() -> float:
    """CPU time of this process and of its descendants, as far as /proc shows them."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    tick = os.sysconf("SC_CLK_TCK")
    alive = sum(sum(map(int, fields[11:13])) for _, fields in _descendants()) / tick
    return time.process_time() + ended.ru_utime + ended.ru_stime + alive


def peak_rss_mb() -> float:
    """Largest resident memory of this process, plus that of its living descendants (shared pages count twice)."""
    pids = [os.getpid(), *(pid for pid, _ in _descendants())]
    # ru_maxrss would not do: a process inherits it from the one that started it.
    return sum(filter(None, map(_high_water_mb, pids)))


def _high_water_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _descendants() -> Iterator[tuple[int, list[str]]]:
    """(pid, fields of /proc/PID/stat from the third on) of every process that this one started, however deep."""
    found: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    family = {os.getpid()}
    while grown := {pid for pid, fields in found.items() if int(fields[1]) in family} - family:
        family |= grown
    yield from ((pid, found[pid]) for pid in family - {os.getpid()} if pid in found)


# --- the parent's side


class Worker(NamedTuple):
    """A case to time: its name, the interpreter and script of its process, and the case, which travels as JSON.

    `python=""` means that its environment is not there; `install` says how to get it.
    """

    name: str
    python: str
    script: Path
    case: dict[str, Any]
    install: str = ""
    environment: tuple[tuple[str, str], ...] = ()


class Skipped(Exception):
    """A worker cannot go on; one line."""


class _Process:
    """A running worker."""

    def __init__(self, worker: Worker) -> None:
        if not worker.python:
            raise Skipped(f"not asked for; {worker.install}")
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in close)
        kept = {name: value for name, value in os.environ.items() if name not in CACHES}
        path = os.pathsep.join([*map(str, IMPORTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self.process = subprocess.Popen(
                [worker.python, str(worker.script), json.dumps(worker.case)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                env={**kept, **QUIET, "PYTHONPATH": path, **dict(worker.environment)},
            )
        except OSError as error:
            raise Skipped(f"{worker.python}: {error.strerror}; {worker.install}") from error

    def answer(self) -> dict:
        """The next line that the worker sends."""
        stdout = self.process.stdout
        assert stdout is not None
        ready = select.select([stdout], [], [], LIMIT_S)[0]
        line = stdout.readline() if ready else b""
        if not line:
            raise Skipped(self._last_words() if ready else f"no answer within {LIMIT_S:g} s")
        return json.loads(line)

    def ask(self) -> dict:
        """Let the worker run its case once; it does nothing else in the meantime."""
        stdin = self.process.stdin
        assert stdin is not None
        try:
            stdin.write(b"run\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise Skipped(self._last_words()) from error
        return self.answer()

    def close(self) -> None:
        """End the worker: it stops at the end of its input, and is killed if it does not."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=30)
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read().splitlines() if line.strip()]
        return f"it ended with status {self.process.returncode}: {lines[-1] if lines else 'without a word'}"


def measure(workers: list[Worker], repeats: int, say: Callable[[str], None] = print) -> list[dict]:
    """Start all workers, run them in turns `repeats` times, and return what each did.

    One dict a worker: `name`, `case`, `facts`, raw `samples`, and `skipped`, one line, where it could not go on. A
    worker that is skipped harms no other.
    """
    outcomes = [{"name": w.name, "case": w.case, "facts": {}, "samples": [], "skipped": ""} for w in workers]
    running: dict[int, _Process] = {}
    with contextlib.ExitStack() as stack:

        def attempt(index: int, action: Callable[[], Any]) -> Any:
            try:
                return action()
            except Skipped as error:
                outcomes[index]["skipped"] = str(error)
                running.pop(index, None)
                say(f"skipped {workers[index].name}: {error}")

        def start(index: int) -> None:
            process = _Process(workers[index])
            stack.callback(process.close)
            outcomes[index]["facts"] = process.answer()
            running[index] = process

        for index in range(len(workers)):
            attempt(index, lambda index=index: start(index))
        for _ in range(repeats):
            for index in list(running):
                sample = attempt(index, running[index].ask)
                if sample is not None:
                    outcomes[index]["samples"].append(sample)
    return [{**outcome, **summary(outcome["samples"])} for outcome in outcomes]


def summary(samples: list[dict]) -> dict:
    """Median and least seconds, cores used (CPU time by wall time) and peak memory; empty without samples."""
    if not samples:
        return {}
    seconds = [sample["seconds"] for sample in samples]
    return {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "cores": sum(sample["cpu_seconds"] for sample in samples) / max(sum(seconds), 1e-9),
        "peak_rss_mb": max(sample["peak_rss_mb"] for sample in samples),
    }
