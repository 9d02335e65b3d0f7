"""Several processes are one run: the same bits, one writer, and one line in the others when one of them ends."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from halo_jax import distributed
from halo_jax.stopping import Stopped

ROOT = Path(__file__).parents[1]
TOY = (
    "--config.arms=('halo_ps',)",
    "--config.dataset=synthetic",
    "--config.train_examples=37",
    "--config.test_examples=16",
    "--config.model=small_cnn",
    "--config.width=0.1",
    "--config.num_clients=4",
    "--config.demand.energy_clients=1",
    "--config.demand.latency_clients=1",
    "--config.demand.area_clients=1",
    "--config.local_epochs=1",
    "--config.batch_size=8",
    "--config.rounds=60",  # some seconds, so that a run can be stopped between its first rounds and its last
    "--config.eval_every=30",
    "--config.checkpoint_every=2",
)
PATIENCE = 120  # seconds: no process of these tests is waited for longer


class Processes:
    """Starts `python launch.py ...` and, at the end of the test, kills what still runs."""

    def __init__(self):
        self._started: list[subprocess.Popen[str]] = []

    def start(self, workdir: Path, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "launch.py", *TOY, *arguments, f"--workdir={workdir}"]
        self._started.append(
            subprocess.Popen(
                command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return self._started[-1]

    def pair(self, workdir: Path, *second: str) -> list[subprocess.Popen[str]]:
        """Two joined processes; `second` are further arguments of process 1 alone."""
        with socket.socket() as free:
            free.bind(("localhost", 0))
            join = ["--distributed", f"--coordinator=localhost:{free.getsockname()[1]}", "--processes=2"]
        return [
            self.start(workdir, *join, f"--process={process}", *(second if process else ())) for process in range(2)
        ]

    def kill(self) -> None:
        for one in self._started:
            one.kill()
            one.communicate()


@pytest.fixture
def processes():
    started = Processes()
    try:
        yield started
    finally:
        started.kill()


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The records of one process that nothing interrupts."""
    workdir, only = tmp_path_factory.mktemp("alone"), Processes()
    try:
        assert end(only.start(workdir))[0] == 0
    finally:
        only.kill()
    return workdir / "halo_ps"


def end(process: subprocess.Popen[str], seconds: float = PATIENCE) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def wait_for_rounds(folder: Path, rounds: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while rounds_in(folder) < rounds:
        assert time.monotonic() < deadline, f"no {rounds} rounds in {PATIENCE} s"
        time.sleep(0.01)


def rounds_in(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return (folder / "rounds.csv").read_text().count("\n") - 1
    return 0


def assert_one_line(text: str, words: str) -> None:
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert words in text


def assert_same_run(folder: Path, other: Path) -> None:
    """To the byte, but for the seconds that a round took."""
    for name in ("clients.csv", "fingerprints.csv"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    tables = [list(csv.DictReader((one / "rounds.csv").open())) for one in (folder, other)]
    for row in (row for table in tables for row in table):
        del row["seconds"]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 60
    summaries = [json.loads((one / "summary.json").read_text()) for one in (folder, other)]
    assert summaries[0]["model_sha256"] == summaries[1]["model_sha256"]


def test_two_processes_give_the_bits_of_one_and_only_process_0_writes_and_prints(processes, alone, tmp_path):
    # Process 1 is given a folder that cannot be made: it must not touch it.
    (tmp_path / "file").write_text("in the way")
    leader, other = processes.pair(tmp_path / "run", f"--workdir={tmp_path / 'file' / 'run'}")
    status, out, err = end(leader)
    assert (status, err) == (0, "")
    assert "halo_ps  round  60/60" in out
    assert "HaLo-FL" in out
    status, out, err = end(other)
    assert (status, err) == (0, "")
    assert "halo_ps" not in out
    assert "HaLo-FL" not in out
    assert_same_run(tmp_path / "run" / "halo_ps", alone)


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_process_is_killed_the_other_ends_soon_with_one_line_and_both_can_go_on(
    processes, alone, tmp_path, victim
):
    folder = tmp_path / "halo_ps"
    pair = processes.pair(tmp_path)
    wait_for_rounds(folder, 5)
    pair[victim].kill()
    status, _, err = end(pair[1 - victim], 60)
    assert status == 1
    assert_one_line(err, "another process")
    assert 5 <= rounds_in(folder) < 60
    if victim == 1:  # what lies in the folder is of the same kind in both cases
        for process in processes.pair(tmp_path):
            status, _, err = end(process)
            assert (status, err) == (0, "")
        assert_same_run(folder, alone)


def test_sigterm_to_one_process_stops_all_after_the_same_saved_round_and_one_process_can_go_on(
    processes, alone, tmp_path
):
    folder = tmp_path / "halo_ps"
    pair = processes.pair(tmp_path)
    wait_for_rounds(folder, 5)
    pair[1].send_signal(signal.SIGTERM)
    (status, _, line), (other_status, _, other_line) = (end(process, 60) for process in pair)
    assert (status, other_status) == (143, 143)
    done = rounds_in(folder)
    assert 5 <= done < 60
    assert_one_line(line, f"another process of this run was asked to stop: stopped after round {done} of halo_ps")
    assert_one_line(other_line, f"SIGTERM: stopped after round {done} of halo_ps")
    assert (folder / "checkpoints" / str(done)).is_dir()
    status, out, err = end(processes.start(tmp_path))
    assert (status, err) == (0, "")
    assert f"round  {done:2d}/60" not in out
    assert_same_run(folder, alone)


def test_processes_whose_configs_differ_all_end_with_one_line_and_write_nothing(processes, tmp_path):
    pair = processes.pair(tmp_path / "run", "--config.seed=8")
    for process in pair:
        status, _, err = end(process, 60)
        assert status == 1
        assert_one_line(err, "the config of process 1 differs from that of process 0")
    assert not (tmp_path / "run").exists()


def test_without_flags_and_without_a_cluster_there_is_one_line_and_status_2(processes, tmp_path):
    status, _, err = end(processes.start(tmp_path / "run", "--distributed"), 60)
    assert status == 2
    assert_one_line(err, "give --coordinator, --processes, --process")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("localhost:1", None, None), "--processes and --process missing"),
        ((None, 2, 0), "--coordinator missing"),
        (("localhost", 2, 0), "--coordinator=localhost; allowed: HOST:PORT"),
        (("localhost:", 2, 0), "--coordinator=localhost:; allowed: HOST:PORT"),
        ((":1", 2, 0), "--coordinator=:1; allowed: HOST:PORT"),
        (("localhost:0", 2, 0), "--coordinator=localhost:0; allowed: HOST:PORT"),
        (("localhost:65536", 2, 0), "--coordinator=localhost:65536; allowed: HOST:PORT"),
        (("localhost:1", 2, 2), "--process=2; allowed: 0 to 1"),
    ],
)
def test_flags_that_cannot_be_are_refused_in_one_line(flags, words):
    with pytest.raises(distributed.JoinError) as refused:
        distributed.check_flags(*flags)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_all_three_flags_or_none_are_accepted():
    distributed.check_flags("localhost:1", 2, 1)
    distributed.check_flags("[::1]:65535", 1, 0)
    distributed.check_flags(None, None, None)


@pytest.mark.parametrize("share", [distributed.on_leader, distributed.everywhere])
def test_one_process_gets_what_the_action_returns_and_the_error_that_it_raises(share):
    error = OSError("no space")

    def fail():
        raise error

    assert share(lambda: 3) == 3
    with pytest.raises(OSError, match="no space") as raised:
        share(fail)
    assert raised.value is error


def test_one_process_exchanges_nothing():
    tree = {"a": np.arange(3), "b": (np.float32(2),)}
    assert distributed.is_leader()
    assert distributed.from_leader(tree) is tree
    assert distributed.anywhere(True) is True
    assert distributed.anywhere(False) is False
    distributed.require_same("the data", lambda: pytest.fail("would be read for nothing"))


def test_a_process_that_got_no_signal_says_that_another_was_stopped():
    assert str(Stopped(0, "after round 3")).startswith("another process of this run was asked to stop: stopped after")
    assert Stopped(0, "").signum == signal.SIGTERM
    assert str(Stopped(signal.SIGINT, "after round 3")).startswith("SIGINT: stopped after round 3")
