"""A watch over a process of several: it ends with one line, also where JAX's C++ aborts it because a peer is lost.

JAX's C++ aborts a process whose peers are gone, with a page of logs and no chance for Python to say anything. So the
command runs once more as a child, and the parent tells a person what its logs mean.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

LOST = "another process of this run has ended or cannot be reached; the same command in all of them goes on"
_WATCHED = "HALO_JAX_WATCHED"  # set in the child
_LOG = re.compile(r"[EWI]\d{4} ")  # how a line of JAX's C++ logs begins
_DUMP = re.compile(r"F\d{4} |terminate called|Fatal Python error")  # and the dump of a process that C++ ends


def watch() -> None:
    """Run this command once more as a child, and return there; here, end as it ends, with one line if it was ended."""
    if os.environ.get(_WATCHED):
        _become_child()
    else:
        _watch_child()


def _become_child() -> None:
    """Die with the parent, and leave standard output to what a person shall read."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no child outlives the command
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1, encoding=sys.stdout.encoding)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # gloo's threads greet there, one into the other; errors go to 2


def _watch_child() -> NoReturn:
    # A session of its own: Ctrl-C reaches the child once, from here.
    child = subprocess.Popen(
        [sys.executable, *sys.argv],
        env={**os.environ, _WATCHED: "1"},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda signum, frame: child.send_signal(signum))
    assert child.stderr
    said = _relay(child.stderr)
    status = child.wait()
    dumped = any(_DUMP.match(line) for line in said.logs)
    if dumped and not said.error:
        print("error:", LOST, file=sys.stderr)
    elif status and not said.error:
        print(*said.logs, sep="", end="", file=sys.stderr)  # a traceback may have followed a warning of C++
    if status < 0 and not dumped and not said.error:
        print(f"error: ended by {signal.Signals(-status).name}; the same command goes on", file=sys.stderr)
    sys.exit(1 if dumped or status < 0 else status)


class _Said(NamedTuple):
    """What a child has said on its standard error."""

    error: bool  # whether there was a line of our own about what is wrong
    logs: list[str]  # from the first line of C++ on, which nobody has seen yet


def _relay(lines: Iterable[str]) -> _Said:
    """Pass on what the child says, and keep back the logs of C++: an entry may go on over lines of any form."""
    error, logs = False, []
    for line in lines:
        is_error = line.startswith("error: ")
        if not is_error and (logs or _LOG.match(line) or _DUMP.match(line)):
            logs.append(line)
        else:
            error |= is_error
            print(line, end="", file=sys.stderr, flush=True)
    return _Said(error, logs)
