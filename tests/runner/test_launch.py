"""The command line: one command runs an experiment, and whatever is wrong with it is one line and an exit status."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from absl import flags

from halo_jax.datasets import DATASETS
from halo_jax.models import MODELS
from halo_jax.records import files, run_folder
from halo_jax.runner import command_line
from halo_jax.runtime.signals import Stopped
from halo_jax.selectors import SELECTORS
from halo_jax.studies.run_study import run_study
from tests.record_fixture import write_run

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / "experiments").glob("*.py"), *(ROOT / "experiments").glob("*/*.py")]
EXPERIMENTS = [path for path in sorted(FILES) if "def get_config" in path.read_text()]
QUICKSTART = str(ROOT / "experiments" / "quickstart.py")
TOY = (
    "--config=experiments/quickstart.py",
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
    "--config.rounds=2",
)


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python launch.py ...` as a user types it."""
    command = [sys.executable, "launch.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300)


@pytest.fixture
def call(monkeypatch, capsys):
    """The same without a new process: `call(*arguments)` returns the exit status and what went to stderr."""
    known = set(flags.FLAGS)
    tables = contextlib.ExitStack()  # an experiment may add to them
    for table in (MODELS, DATASETS, SELECTORS):
        tables.enter_context(mock.patch.dict(table))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(command_line, "choose_devices", lambda *_: None)  # JAX has started already
    monkeypatch.setattr("halo_jax.runner.compiled_rounds.make_run_round", lambda *_: pytest.fail("would train"))

    studies = {"run": run_study}

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["launch.py", *arguments])
        with pytest.raises(SystemExit) as stopped:
            command_line._main(command_line._parse(sys.argv, QUICKSTART), studies["run"])
        return stopped.value.code, capsys.readouterr().err

    call.studies = studies
    yield call
    tables.close()
    sys.modules.pop("config_config", None)  # the experiment file, which the next one would be merged into
    for name in set(flags.FLAGS) - known:
        delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


def assert_one_line(text: str) -> None:
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert "Traceback" not in text


def test_one_command_runs_an_experiment(tmp_path):
    done = start(*TOY, f"--workdir={tmp_path / 'run'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "halo_ps  round   2/2" in done.stdout
    assert "HaLo-FL" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("report.html")
    read = run_folder.read(tmp_path / "run" / "halo_ps")
    assert read.rounds["round"].tolist() == [1, 2]
    assert read.summary["finished"] is True
    assert read.config["width"] == 0.1
    assert (tmp_path / "run" / "figures" / "accuracy_by_round.png").exists()
    assert (tmp_path / "run" / "report.html").exists()


def test_runs_that_are_there_are_compared_without_training(tmp_path):
    write_run(tmp_path / "mine" / "8-8-8", "8-8-8", rounds=2)
    done = start("--report", str(tmp_path / "mine"), f"--workdir={tmp_path / 'report'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "8-8-8" in done.stdout
    assert (tmp_path / "report" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.round=3"], "unknown field"),
        (["--config.rounds=0"], "rounds=0; allowed: a whole number from 1"),
        (["--config=experiments/nope.py"], "experiments/nope.py"),
        (["--config.rounds=3", "train"], "unexpected argument 'train'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(tmp_path, arguments, words):
    done = start(*arguments, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert_one_line(done.stderr)
    assert words in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.nope=1"], "nope"),
        (["--config.selector.nope=1"], "selector.nope"),
        (["--config.=1"], "field"),
        (["--config.rounds.x=1"], "rounds.x"),
        (["--config.selector=static"], "selector"),
        (["--config.rounds=many"], "--config.rounds=many"),
        (["--config.rounds=2.5"], "--config.rounds=2.5"),
        (["--config.rounds="], "--config.rounds="),
        (["--config.exact=perhaps"], "--config.exact=perhaps"),
        (["--config.width=nan"], "width=nan; allowed: "),
        (["--config.num_clients=0"], "num_clients=0; allowed: a whole number from 1"),
        (["--config.num_clients=4"], "num_clients=4"),
        (["--config.cohort_size=21"], "cohort_size=21"),
        (["--config.selector.start=1-8-8"], "selector.start='1-8-8'"),
        (["--config.schedule.phases=(1,2)"], "schedule.phases=(1, 2)"),
        (["--config.schedule.phases=('a',)"], "schedule.phases=('a',)"),
        (["--config.dataset=nope"], "dataset='nope'; known: cifar10, digits"),
        (["--config.dataset=emnist/letter"], "dataset='emnist/letter'; known variants of emnist: balanced, "),
        (
            ["--config=experiments/paper/table4_baselines.py:cifar10", "--config.data_dir=/nope"],
            "python experiments/prepare.py cifar10 --data_dir=/nope",
        ),
        (["--config.model="], "model=''; known: vgg7"),
        (["--config.arms=('best',)"], "arms='best': known: "),
        (["--config.dataset=mnist", "--config.data_dir=/nope"], "/nope"),
        (["--config=experiments/nope.py"], "experiments/nope.py"),
        (["--config=experiments"], "experiments"),
        (["--config="], "config"),
        (["--config=experiments/quickstart.py:small"], "quickstart"),
        (["--config=experiments/fashion_mnist.py:large"], "'large' of fashion_mnist; known: small"),
        (["--nope=1"], "nope"),
        (["--config.rounds"], "--config.rounds"),
        (["--platform=abacus"], "abacus"),
        (["--overwrite=perhaps"], "perhaps"),
        (["train"], "unexpected argument 'train'"),
        (["--report"], "no run folder; right: launch.py --report FOLDER ..."),
        (["--report", "/nope"], "/nope is no folder"),
        (["--distributed", "--coordinator=localhost:1"], "--processes and --process missing"),
        (["--distributed", "--processes=2", "--process=0"], "--coordinator missing"),
        (["--distributed", "--coordinator=localhost", "--processes=2", "--process=0"], "allowed: HOST:PORT"),
        (["--distributed", "--coordinator=localhost:1", "--processes=2", "--process=2"], "allowed: 0 to 1"),
        (["--distributed", "--coordinator=localhost:1", "--processes=0", "--process=0"], "--processes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mistake_is_one_line_and_status_2(call, tmp_path, arguments, words):
    status, text = call(*arguments, f"--workdir={tmp_path / 'run'}")
    assert status == 2
    assert_one_line(text)
    assert words in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def get_config(:", "syntax"),
        ("x = 1", "get_config"),
        ("import no_such_module", "no_such_module"),
        ("def get_config(): raise RuntimeError('first\\nsecond')", "second"),
        ("def get_config(): return {'rounds': 3}", ""),
        ("def get_config(): return 3", ""),
        ("import ml_collections\ndef get_config(): return ml_collections.ConfigDict()", "missing field arms"),
    ],
    ids=["syntax", "no get_config", "import", "raises", "dict", "int", "empty"],
)
def test_a_broken_experiment_file_is_one_line_and_status_2(call, tmp_path, source, words):
    (tmp_path / "broken.py").write_text(source)
    status, text = call(f"--config={tmp_path / 'broken.py'}", f"--workdir={tmp_path / 'run'}")
    assert status == 2
    assert_one_line(text)
    assert words in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("below", ["", "/run"])
def test_a_run_folder_that_cannot_be_made_is_one_line_and_status_1(call, tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    status, text = call(*TOY, f"--workdir={tmp_path / 'file'}{below}")
    assert status == 1
    assert_one_line(text)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_broken_run_folder_is_one_line_and_status_1(call, tmp_path):
    (tmp_path / "config.json").write_text("{")
    status, text = call(*TOY, f"--workdir={tmp_path}")
    assert status == 1
    assert_one_line(text)
    assert "config.json" in text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), 130),
        (Stopped(signal.SIGINT, "after round 3 of halo_ps"), 130),
        (Stopped(signal.SIGTERM, "after round 3 of halo_ps"), 143),
        (files.RecordError("rounds.csv: No space left on device"), 1),
    ],
)
def test_a_run_that_stops_says_so_in_one_line(call, monkeypatch, error, status):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr(command_line, "run", stop)
    found, text = call()
    assert found == status
    assert_one_line(text)


def test_the_workdir_is_named_after_the_experiment(call, monkeypatch):
    called = []

    def stop(config, workdir, *, overwrite):
        called.append((config.rounds, workdir, overwrite))
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "run", stop)
    call("--config.rounds", "7", "--config.name=mine", "--overwrite")
    assert called == [(7, "runs/mine", True)]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_is_valid_and_is_named_after_its_file(call, monkeypatch, path):
    names = []

    def note(config, *_, **__):
        sys.exit(names.append(config.name))

    monkeypatch.setattr(command_line, "run", note)
    call.studies["run"] = note
    call(f"--config={path}")
    assert [name.startswith(path.stem) for name in names] == [True]
