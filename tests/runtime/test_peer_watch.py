"""A command that is watched ends as its child does, and says in one line what JAX's C++ says in a page."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from halo_jax.runtime.peer_watch import LOST

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
LOG = "E0000 00:00:00.1 1 agent.cc:1] a peer is gone\n  which goes on\n"
WARNING = "W0000 00:00:00.1 1 cpu.cc:1] slow\n"
DUMP = "F0000 00:00:00.1 1 agent.cc:1] the end\n"
TRACEBACK = "Traceback (most recent call last):\nValueError\n"


def watched(tmp_path, said: str, end: str) -> tuple[int, str, str]:
    """Run a command that says something on its standard error, and ends somehow: its status, and what a person sees."""
    script = tmp_path / "command.py"
    script.write_text(
        "import os, signal, sys\n"
        "from halo_jax.runtime.peer_watch import watch\n"
        "watch()\n"
        "os.write(1, b'of gloo\\n')\n"
        "print('for a person')\n"
        f"sys.stderr.write({said!r})\n"
        "sys.stderr.flush()\n"
        f"{end}\n"
    )
    command = [sys.executable, str(script)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("said", "end", "status", "seen"),
    [
        ("a line\n", "sys.exit(3)", 3, "a line\n"),
        (LOG, "sys.exit(0)", 0, ""),
        (LOG + DUMP, "os.abort()", 1, f"error: {LOST}\n"),
        ("terminate called\n", "os.abort()", 1, f"error: {LOST}\n"),
        (LOG + "error: mine\n", "sys.exit(2)", 2, "error: mine\n"),
        ("error: mine\n" + DUMP, "os.abort()", 1, "error: mine\n"),
        (WARNING + TRACEBACK, "sys.exit(1)", 1, WARNING + TRACEBACK),
        ("", "os.kill(os.getpid(), signal.SIGKILL)", 1, "error: ended by SIGKILL; the same command goes on\n"),
    ],
    ids=["plain", "logs", "dump", "terminate", "line", "line and dump", "traceback", "killed"],
)
def test_a_watched_command_ends_as_its_child_with_no_more_than_a_person_needs(tmp_path, said, end, status, seen):
    assert watched(tmp_path, said, end) == (status, "for a person\n", seen)


def test_a_signal_reaches_the_child(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(
        "import signal, sys, time\n"
        "from halo_jax.runtime.peer_watch import watch\n"
        "watch()\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "print('ready')\n"
        "time.sleep(60)\n"
    )
    start = [sys.executable, str(script)]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as command:
        assert command.stdout.readline() == "ready\n"
        command.send_signal(signal.SIGTERM)
        assert command.wait(timeout=30) == 143
