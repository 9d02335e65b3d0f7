"""An experiment fills its folder, the same bits every time, and goes on where it stopped."""

import csv
import json
import os
import signal

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from halo_jax.config import ConfigError
from halo_jax.datasets import DatasetError
from halo_jax.numerics import contraction
from halo_jax.records import files, run_folder
from halo_jax.records.rows import RoundRecord
from halo_jax.runtime.signals import Stopped
from tests.toy_run import ARMS, ROUNDS, launch, toy_config, without_seconds

_TABLES = ("clients.csv", "fingerprints.csv", "labels.csv", "rounds.csv")
FILES = ("checkpoints", "config.json", "model.json", "summary.json", *_TABLES)
REPORT = ("config.json", "figures", "report.html", "table.csv")


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_are_kept(tmp_path_factory):
    """Compiling is most of the time; equal programs of later runs in this module are read back."""
    options = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("programs")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    compilation_cache.reset_cache()
    jax.tree.map(jax.config.update, list(options), list(options.values()))
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupts: its folder and what was printed."""
    folder = tmp_path_factory.mktemp("whole") / "toy"
    return folder, launch(toy_config(), folder)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The same run, stopped while round 4 of the second arm is recorded, then launched again."""
    folder = tmp_path_factory.mktemp("resumed") / "toy"
    append = run_folder.append

    def stop(path, row, *others):
        if path.name == "halo_ps" and row.round == 4:
            (path / "clients.csv").open("a").write("4,0,ener")  # as a killed process leaves it
            raise KeyboardInterrupt
        append(path, row, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            launch(toy_config(), folder)
    assert not (folder / "report.html").exists()
    return folder, launch(toy_config(), folder)


@pytest.fixture
def stays_the_same(whole):
    """No file of the finished run changes during a test."""
    files = lambda: {path: path.read_bytes() for path in whole[0].rglob("*") if path.is_file()}  # noqa: E731
    before = files()
    yield
    assert files() == before


def test_the_folder_is_complete(whole):
    folder, _ = whole
    assert sorted(path.name for path in folder.iterdir()) == sorted([*REPORT, *ARMS])
    for arm in ARMS:
        assert sorted(path.name for path in (folder / arm).iterdir()) == sorted(FILES)
    pictures = sorted((folder / "figures").iterdir())
    assert [path.stem for path in pictures] == [
        *("accuracy_by_energy_used", "accuracy_by_round", "accuracy_by_time"),
        *("cost_by_round", "labels_by_client", "precision_tree"),
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert not list(folder.rglob("*.tmp"))


def test_records_hold_every_round_and_client(whole):
    for arm in ARMS:
        read = run_folder.read(whole[0] / arm)
        assert read.rounds["round"].tolist() == [1, 2, 3, 4]
        assert read.clients["client"].tolist() == [0, 1, 2, 3] * ROUNDS
        assert read.clients["constraint"].tolist() == ["energy", "latency", "area", "none"] * ROUNDS
        assert read.rounds["examples"].tolist() == [37] * ROUNDS
        assert read.rounds["learning_rate"].tolist() == [8, 8, 1, 0.125]
        assert np.isfinite(np.stack([read.rounds[name] for name in ("train_loss", "test_loss", "accuracy")])).all()


def test_a_static_arm_keeps_its_bits_and_halo_ps_lowers_the_metric_of_each_client(whole):
    static, selecting = (run_folder.read(whole[0] / arm).clients for arm in ARMS)
    bits = np.stack([static[name] for name in ("weights_bits", "activations_bits", "errors_bits")])
    assert (bits == 8).all()
    last = selecting["round"] == ROUNDS
    for client, metric in enumerate(("energy_mj", "latency_s", "area_mm2")):
        now = selecting[metric][last & (selecting["client"] == client)]
        assert now <= static[metric][client], metric
    assert selecting["energy_mj"][last][0] < static["energy_mj"][0]
    assert selecting["energy_mj"][last][3] == static["energy_mj"][3]  # a client without a demand


def test_the_summary_says_what_ran_where_and_how_it_ended(whole):
    summary = json.loads((whole[0] / "halo_ps" / "summary.json").read_text())
    rounds = run_folder.read(whole[0] / "halo_ps").rounds
    assert summary["accuracy"] == rounds["accuracy"][-1]
    assert summary["test_loss"] == rounds["test_loss"][-1]
    assert len(summary["model_sha256"]) == 64
    assert len(summary["client_accuracy"]) == 4
    assert min(summary["class_accuracy"]) <= min(summary["client_accuracy"])
    assert max(summary["client_accuracy"]) <= max(summary["class_accuracy"])
    assert summary["versions"]["jax"] == jax.__version__
    expected = {"name": "toy", "arm": "halo_ps", "selector": "halo_ps", "dataset": "synthetic", "seed": 0}
    expected |= {"rounds": ROUNDS, "executor": "map", "finished": True, "train_width": 0.1, "hardware_width": 1.0}
    assert summary["kernels"] == contraction.kernels()
    assert {name: summary[name] for name in expected} == expected


def test_the_config_of_the_launch_and_of_each_arm_is_written(whole):
    folder, _ = whole
    assert json.loads((folder / "config.json").read_text())["arms"] == list(ARMS)
    arm = json.loads((folder / "8-8-8" / "config.json").read_text())
    assert (arm["arms"], arm["selector"]["name"], arm["selector"]["start"]) == ([], "static", "8-8-8")


def test_table_and_report_name_every_arm(whole):
    folder, _ = whole
    page = (folder / "report.html").read_text()
    assert all(name in page for name in ("8-8-8", "HaLo-FL", "data:image/png"))
    rows = [line.split(",")[0] for line in (folder / "table.csv").read_text().splitlines()]
    assert rows[:2] == ["arm", "8-8-8"]
    assert rows[2].startswith("HaLo-FL")


def test_a_person_sees_the_setting_every_round_and_the_table(whole):
    _, text = whole
    assert "37 training images over 4 clients" in text.splitlines()[0]
    assert text.count("halo_ps  round") == text.count("8-8-8  round") == ROUNDS
    assert "report.html" in text.splitlines()[-1]
    assert "Traceback" not in text


@pytest.mark.parametrize("arm", ARMS)
def test_a_stopped_run_launched_again_is_the_uninterrupted_one_bit_for_bit(whole, resumed, arm):
    one, other = whole[0] / arm, resumed[0] / arm
    assert RoundRecord._fields[-1] == "seconds"
    assert without_seconds(one / "rounds.csv") == without_seconds(other / "rounds.csv")
    for table in ("clients.csv", "fingerprints.csv"):
        assert (one / table).read_bytes() == (other / table).read_bytes()
    hashes = [json.loads((folder / "summary.json").read_text())["model_sha256"] for folder in (one, other)]
    assert hashes[0] == hashes[1]


def test_only_the_rounds_after_the_checkpoint_are_trained_again(resumed):
    _, text = resumed
    trained = [line.split("  loss")[0] for line in text.splitlines() if "  round " in line]
    assert trained == ["halo_ps  round   3/4", "halo_ps  round   4/4"]


def test_a_finished_run_is_reported_again_without_training(whole, monkeypatch):
    folder, _ = whole
    rounds = (folder / "8-8-8" / "rounds.csv").read_bytes()
    (folder / "report.html").unlink()
    monkeypatch.setattr("halo_jax.runner.compiled_rounds.make_run_round", lambda *_: pytest.fail("trained"))
    text = launch(toy_config(), folder)
    assert "  round " not in text
    assert (folder / "report.html").exists()
    assert (folder / "8-8-8" / "rounds.csv").read_bytes() == rounds


@pytest.mark.usefixtures("stays_the_same")
def test_another_config_on_the_folder_is_refused_with_the_fields_that_differ(whole):
    other = toy_config(rounds=5)
    other.selector.halo_ps.step = 1
    message = (
        r"holds another run \(rounds=4 there, 5 here, selector.halo_ps.step=2 there, 1 here\); use another --workdir"
    )
    with pytest.raises(ConfigError, match=message):
        launch(other, whole[0])


@pytest.mark.usefixtures("stays_the_same")
@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"rounds": 0}, ConfigError),
        ({"model": "nope"}, ConfigError),
        ({"num_clients": 38}, ConfigError),
        ({"arms": ("8-8-8", "9-9-9")}, ConfigError),
        ({"arms": ("8-8-8", "8-8-8")}, ConfigError),
        ({"train_examples": 257}, DatasetError),
    ],
)
def test_wrong_input_deletes_and_writes_nothing_even_with_overwrite(whole, tmp_path, values, error):
    with pytest.raises(error):
        launch(toy_config(**values), whole[0], overwrite=True)
    with pytest.raises(error):
        launch(toy_config(**values), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_overwrite_starts_again_and_leaves_nothing_of_the_old_run(tmp_path):
    config = toy_config(arms=(), rounds=1)
    config.selector.name = "static"
    launch(config, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "1").exists()
    config.rounds = 2
    launch(config, tmp_path / "run", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted({*FILES, *REPORT})
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["2"]
    assert run_folder.read(tmp_path / "run").rounds["round"].tolist() == [1, 2]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("names", [["thesis.txt"], ["thesis.txt", "config.json"]])
def test_a_folder_that_is_not_ours_is_never_touched(tmp_path, overwrite, names):
    for name in names:
        (tmp_path / name).write_text('{"years": "of work"}')
    with pytest.raises((ConfigError, files.RecordError)):
        launch(toy_config(), tmp_path, overwrite=overwrite)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(files.RecordError) as caught:
        launch(toy_config(), tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_round_end_and_saves_it_and_the_same_call_goes_on(whole, tmp_path, monkeypatch, signum):
    append = run_folder.append

    def interrupted(path, row, *others):
        if path.name == "8-8-8" and row.round == 3:
            os.kill(os.getpid(), signum)
        append(path, row, *others)

    monkeypatch.setattr(run_folder, "append", interrupted)
    before = signal.getsignal(signum)
    with pytest.raises(Stopped, match=f"{signal.Signals(signum).name}: stopped after round 3 of 8-8-8, which is saved"):
        launch(toy_config(), tmp_path / "toy")
    assert signal.getsignal(signum) is before
    assert (tmp_path / "toy" / "8-8-8" / "checkpoints" / "3").exists()
    monkeypatch.setattr(run_folder, "append", append)
    text = launch(toy_config(), tmp_path / "toy")
    assert [line.split("  loss")[0] for line in text.splitlines() if "8-8-8  round " in line] == ["8-8-8  round   4/4"]
    for table in ("clients.csv", "fingerprints.csv"):
        assert (tmp_path / "toy" / "8-8-8" / table).read_bytes() == (whole[0] / "8-8-8" / table).read_bytes()


def test_a_second_signal_stops_at_once(tmp_path, monkeypatch):
    def twice(*_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on")

    monkeypatch.setattr(run_folder, "append", twice)
    with pytest.raises(KeyboardInterrupt) as caught:
        launch(toy_config(), tmp_path / "toy")
    assert not isinstance(caught.value, Stopped)


def test_fingerprints_are_printed_on_demand_and_chain_from_round_to_round(whole, tmp_path):
    text = launch(toy_config(arms=("8-8-8",), fingerprint=True), tmp_path / "toy")
    with open(tmp_path / "toy" / "8-8-8" / "fingerprints.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows[:7]] == ["broadcast", "precision", *["update"] * 4, "aggregate"]
    by_stage = {(int(row["round"]), row["stage"]): row["fingerprint"] for row in rows}
    for number in range(2, ROUNDS + 1):
        assert by_stage[number, "broadcast"] == by_stage[number - 1, "aggregate"]
    assert len(set(by_stage.values())) == 1 + ROUNDS * 2 + 1  # precision stays, broadcast repeats
    for number in range(1, ROUNDS + 1):
        printed = next(line for line in text.splitlines() if f"round {number:3d}  broadcast" in line)
        assert by_stage[number, "aggregate"] in printed
    assert "broadcast" not in whole[1]


def test_a_model_that_diverges_is_reported_once_and_has_no_accuracy(tmp_path):
    config = toy_config(arms=("8-8-8",))
    config.recipe.name, config.recipe.float32.learning_rates = "float32", (1e20, 1e20, 1e20)
    lines = [line for line in launch(config, tmp_path / "toy").splitlines() if "what usually helps" in line]
    assert lines == ["8-8-8 has diverged: no finite loss in round 1; what usually helps: a lower rate"]
    assert run_folder.read(tmp_path / "toy" / "8-8-8").rounds["accuracy"][-1] == 0


def test_a_dead_network_is_reported_with_layer_client_and_what_helps(tmp_path):
    config = toy_config(arms=("8-8-8",), dead_after=2)
    config.recipe.wage.learning_rates = (4096.0, 4096.0, 4096.0)
    text = launch(config, tmp_path / "toy")
    lines = [line for line in text.splitlines() if "has learned nothing in Quant" in line]
    assert len(lines) == 1
    assert "what usually helps: " in lines[0]
    clients = run_folder.read(tmp_path / "toy" / "8-8-8").clients
    assert clients["dead_steps"].max() > 2
    assert any(name.startswith("Quant") for name in clients["dead_layer"])
