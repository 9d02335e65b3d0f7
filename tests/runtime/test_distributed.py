"""Two processes train what one trains, and end with one line when one of them is lost."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from halo_jax.runtime import processes as distributed
from halo_jax.runtime.processes import JoinError, check_flags
from tests.runner.test_launch import ROOT, TOY

LONG = ("--config.rounds=400", "--config.eval_every=400", "--config.checkpoint_every=5")
TABLES = ("clients.csv", "fingerprints.csv")


@pytest.fixture
def launch():
    """`launch(workdir, *arguments, processes=2)` starts them; what still runs at the end is killed."""
    started = []

    def launch(workdir: Path, *arguments: str, processes: int = 2) -> list[subprocess.Popen]:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        joined = ["--distributed", f"--coordinator=localhost:{port}", f"--processes={processes}"]
        command = [sys.executable, "launch.py", *TOY, f"--workdir={workdir}", *arguments]
        flags = [[*joined, f"--process={i}"] for i in range(processes)] if processes > 1 else [[]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        both = [subprocess.Popen([*command, *own], cwd=ROOT, env=os.environ, **pipes) for own in flags]
        started.extend(both)
        return both

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def finish(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    said = [process.communicate(timeout=120) for process in processes]
    return [(process.returncode, *text) for process, text in zip(processes, said, strict=True)]


def wait_for_rounds(folder: Path, count: int) -> None:
    table, end = folder / "halo_ps" / "rounds.csv", time.monotonic() + 120
    while not (table.exists() and table.read_text().count("\n") > count):
        assert time.monotonic() < end
        time.sleep(0.05)


def tables(folder: Path) -> list[bytes]:
    return [(folder / "halo_ps" / name).read_bytes() for name in TABLES]


def listening_on(port: int) -> set[str]:
    """The addresses on which somebody on this machine listens at a port, as the kernel writes them."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/net", name).read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, digits in local if int(digits, 16) == port}


def assert_one_line_about_another_process(said: str) -> None:
    (line,) = said.splitlines()
    assert line.startswith("error: ")
    assert "another process" in line


@pytest.mark.slow
def test_two_processes_have_the_bits_of_one_also_when_one_is_lost_in_the_middle(launch, tmp_path):
    rounds = ("--config.rounds=30", "--config.eval_every=30", "--config.checkpoint_every=2")
    both = launch(tmp_path / "two", *rounds)
    wait_for_rounds(tmp_path / "two", 3)
    if sys.platform == "linux":
        (port,) = re.findall(r"--coordinator=localhost:(\d+)", " ".join(both[0].args))
        assert listening_on(int(port)) <= {
            "0100007F",
            "0000000000000000FFFF00000100007F",
            "00000000000000000000000001000000",
        }
    both[1].kill()
    status, _, said = finish(both)[0]
    assert status == 1
    assert_one_line_about_another_process(said)
    ended = finish(launch(tmp_path / "two", *rounds))
    assert [status for status, *_ in ended] == [0, 0], ended
    assert "Arm" in ended[0][1]
    assert "Arm" not in ended[1][1]
    assert finish(launch(tmp_path / "one", *rounds, processes=1))[0][0] == 0
    assert tables(tmp_path / "two") == tables(tmp_path / "one")


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_after_the_same_round(launch, tmp_path):
    both = launch(tmp_path / "two", *LONG)
    wait_for_rounds(tmp_path / "two", 3)
    both[0].send_signal(signal.SIGTERM)
    (status, _, said), (other_status, _, other) = finish(both)
    assert (status, other_status) == (143, 143)
    assert "SIGTERM: stopped after round" in said
    assert_one_line_about_another_process(other)
    assert other.strip().partition(": stopped ")[2] == said.splitlines()[-1].partition(": stopped ")[2]


@pytest.mark.slow
def test_the_loss_of_process_0_is_one_line_too(launch, tmp_path):
    both = launch(tmp_path / "two", *LONG)
    wait_for_rounds(tmp_path / "two", 3)
    both[0].kill()
    status, _, said = finish(both)[1]
    assert status == 1
    assert_one_line_about_another_process(said)


@pytest.mark.slow
def test_a_mistake_is_known_to_both(launch, tmp_path):
    ended = finish(launch(tmp_path / "two", "--config.dataset=nope"))
    assert all(status for status, *_ in ended)  # the first to leave may end the other before it has said so
    assert any("dataset='nope'" in said for *_, said in ended)
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("host:1", 2, None), "--process missing"),
        ((None, 2, 0), "--coordinator missing"),
        (("host", 2, 0), "HOST:PORT"),
        (("host:port", 2, 0), "HOST:PORT"),
        (("host:1", 2, 2), "--process=2; allowed: 0 to 1"),
    ],
)
def test_flags_that_do_not_say_who_takes_part_are_one_line(given, words):
    with pytest.raises(JoinError, match=words) as caught:
        check_flags(*given)
    assert str(caught.value).isprintable()
    check_flags(None, None, None)
    check_flags("host:1", 2, 1)


def test_alone_nothing_is_exchanged():
    assert distributed.is_leader()
    assert distributed.on_leader(lambda: 3) == 3
    assert distributed.anywhere(True)
    assert not distributed.anywhere(False)
    tree = {"a": np.arange(3)}
    assert distributed.from_leader(tree) is tree
    distributed.require_same("nothing", lambda: pytest.fail("asked"))
    with pytest.raises(JoinError):
        distributed.everywhere(lambda: check_flags("host", 1, 0))
