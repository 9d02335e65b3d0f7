"""A load of data in a process of its own, with some memory and time, which may write nothing and read only its data."""

import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

MEMORY, SECONDS = 2**30, 10  # bytes above what the process has when it starts
_READER = "array_record_process.py"  # the only program that a load starts
# What Python and its packages read of the machine.
_LIBRARIES = tuple({os.path.realpath(place) for place in (sys.prefix, sys.base_prefix, *sys.path)})
_SYSTEM = ("/usr/", "/lib", "/proc/", "/sys/", "/etc/", "/dev/null", "/dev/urandom")
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")
_REACH = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "socket.bind", "webbrowser.open")


class Outcome(NamedTuple):
    """What came of a load: "loaded", "refused" in a line, or "FAULT", with what happened; and what it took."""

    kind: str
    line: str
    seconds: float
    megabytes: float


def confined(load: Callable[[], object], refusal: type[Exception], data: Path) -> Outcome:
    """Call `load`, which reads `data` and may raise `refusal`, in a process forked from this one."""
    reading, writing = os.pipe()
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks, and nothing here computes
        process = os.fork()
    if not process:
        try:
            os.close(reading)
            _limit()
            before = _status("VmRSS")
            with os.fdopen(writing, "w") as answer:
                json.dump((*_call(load, refusal, data), (_status("VmHWM") - before) / 1024), answer)
        finally:
            os._exit(0)  # whatever happens, nothing that called this goes on twice
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    _, status = os.waitpid(process, 0)
    kind, line, megabytes = json.loads(said) if said else ("FAULT", _ended(status), 0.0)
    return Outcome(kind, line, time.monotonic() - start, megabytes)


def _status(name: str) -> int:
    """A number of this process, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _limit() -> None:
    most = _status("VmData") * 1024 + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # of what can be written, not of what is merely mapped
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 2)


def _call(load: Callable[[], object], refusal: type[Exception], data: Path) -> tuple[str, str]:
    strayed: list[str] = []
    sys.addaudithook(_watch(os.path.realpath(data), strayed))
    try:
        load()
        outcome = "loaded", ""
    except refusal as error:
        text = str(error)
        outcome = (
            ("refused", text) if text.isprintable() and len(text) < 2000 else ("FAULT", f"no line: {text!r:.2000}")
        )
    except BaseException as error:
        before = len(strayed)
        outcome = "FAULT", "".join(traceback.format_exception(error))[-3000:]  # which reads sources
        del strayed[before:]
    return ("FAULT", "; ".join(strayed)) if strayed else outcome


def _watch(data: str, strayed: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that notes what a load has no reason to do."""

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(details[0], str | bytes):
            path, flags = os.path.realpath(os.fsdecode(details[0])), details[2]
            inside = path.startswith((data, *_LIBRARIES, *_SYSTEM))
            if path != os.devnull and (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or not inside):
                strayed.append(f"opened {path} with {flags}")
        elif event == "subprocess.Popen" and not any(_READER in str(word) for word in details[1]):
            strayed.append(f"ran {details[1]}")
        elif event in _CHANGES or event in _REACH:
            strayed.append(f"{event} {details}")

    return watch


def _ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
