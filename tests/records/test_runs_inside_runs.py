"""Runs that lie in the folder of another: they are its own, or somebody else's and stay as they are."""

import contextlib
import json
import shutil

import pytest

from halo_jax.config import ConfigError, schema
from halo_jax.records import files, run_folder
from halo_jax.records.claim import claim
from halo_jax.records.files import RecordError
from halo_jax.records.folder_lock import lock
from halo_jax.reporting import compare_runs
from halo_jax.runner import run_experiment
from halo_jax.studies.run_study import run_study
from tests.record_fixture import write_run
from tests.records.test_stranger_folders import content
from tests.reporting.test_past_runs import compare
from tests.toy_run import launch, toy_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An experiment of one arm and two seeds that has ended."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    launch(toy_config(arms=("8-8-8",), seeds=(0, 1), rounds=1), folder)
    return folder


@pytest.mark.slow
def test_a_study_made_again_leaves_a_training_inside(tmp_path):
    study = schema.default()
    study.study, study.dataset, study.model = "payload", "synthetic", "small_cnn"
    run_study(study, tmp_path / "study")
    launch(toy_config(arms=(), rounds=1), tmp_path / "study" / "8-8-8")
    for name in ("tables/mine.csv", "figures/mine.png"):
        (tmp_path / "study" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "study" / name).write_text("precious")
    study.arms = ("8-8-8",)
    before = content(tmp_path / "study" / "8-8-8")
    run_study(study, tmp_path / "study")
    run_study(study, tmp_path / "study", overwrite=True)
    assert content(tmp_path / "study" / "8-8-8") == before
    assert (tmp_path / "study" / "tables" / "mine.csv").read_text() == "precious"
    assert (tmp_path / "study" / "figures" / "mine.png").read_text() == "precious"


@pytest.mark.slow
def test_an_arm_is_not_trained_by_two_launches_at_once(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(folder / "seed_1" / "8-8-8")
    (folder / "seed_1" / "report.html").unlink()
    config = toy_config(arms=("8-8-8",), seeds=(0, 1), rounds=1)
    (folder / "seed_1" / "8-8-8").mkdir()
    with lock(folder / "seed_1" / "8-8-8"), pytest.raises(RecordError, match="8-8-8: another launch is running"):
        launch(config, folder)
    launch(config, folder)


@pytest.mark.slow
@pytest.mark.parametrize("grown", ["arm", "seed"])
def test_an_experiment_that_grows_takes_no_run_of_another_config_for_its_own(trained, tmp_path, monkeypatch, grown):
    folder = shutil.copytree(trained, tmp_path / "run")
    arm = grown == "arm"
    theirs = folder / ("seed_0/halo_ps" if arm else "seed_2")
    inside = toy_config(arms=() if arm else ("8-8-8",), rounds=2, seed=0 if arm else 2)
    inside.selector.name = "halo_ps"
    launch(inside, theirs)
    before = content(folder)
    monkeypatch.setattr(run_folder, "append", lambda *_: pytest.fail("trained"))
    config = toy_config(arms=("8-8-8", *(["halo_ps"] if arm else [])), seeds=(0, 1, *([] if arm else [2])), rounds=1)
    with pytest.raises(ConfigError, match=r"holds another run \(.*rounds=2 there, 1 here"):
        launch(config, folder)
    assert content(folder) == before


def test_overwrite_finds_what_is_in_its_way_before_it_deletes(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "seed_5").mkdir()
    (folder / "seed_5" / "notes.txt").write_text("precious")
    before = content(folder)
    with pytest.raises(ConfigError, match="seed_5 is not empty and not a run folder"):
        launch(toy_config(arms=("8-8-8",), seeds=(0, 5), rounds=1), folder, overwrite=True)
    assert content(folder) == before


def test_overwrite_deletes_nothing_under_a_launch_that_begins_meanwhile(trained, tmp_path, monkeypatch):
    folder, begun = shutil.copytree(trained, tmp_path / "run"), contextlib.ExitStack()
    config = toy_config(arms=("8-8-8",), seeds=(0, 1), rounds=1)
    inner = schema.of_record(files.read_json(folder / "seed_0" / "config.json"))
    found_free = []

    @contextlib.contextmanager
    def lock_and_begin(place):
        with lock(place):
            yield
        found_free.append(place.name)
        if found_free == ["8-8-8", "8-8-8", "seed_0", "seed_1"]:  # all have been looked at
            begun.enter_context(claim(folder / "seed_0", inner, False))

    monkeypatch.setattr("halo_jax.records.claim.lock", lock_and_begin)
    with begun, pytest.raises(RecordError, match="seed_0: another launch is running"), claim(folder, config, True):
        pass
    assert "seed_0" in found_free


def test_a_report_needs_no_folder_of_somebody_else_to_be_readable(tmp_path):
    write_run(tmp_path / "runs" / "mine", "8-8-8", rounds=2)
    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "runs" / "other" / "config.json").write_text("// with a comment\n{}")
    runs, _ = compare(tmp_path / "runs", to=tmp_path / "report")
    assert list(runs) == ["mine"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("seed_0/nan", "seed_1/nan"), ["nan"]),
        (("seed_0/007", "seed_1/007"), ["007"]),
        (("seed_0/=1+1", "seed_1/=1+1"), ["./=1+1"]),
        (("seed_0/_x", "seed_1/_x"), ["./_x"]),
    ],
)
def test_a_title_of_seeds_is_a_text(tmp_path, names, shown):
    for seed, name in enumerate(names):
        write_run(tmp_path / "runs" / name, "8-8-8", rounds=2)
        recorded = files.read_json(tmp_path / "runs" / name / "config.json") | {"seed": seed}
        files.write(tmp_path / "runs" / name / "config.json", json.dumps(recorded))
    compare(tmp_path / "runs", to=tmp_path / "report")
    assert files.read_columns(tmp_path / "report" / "comparison.csv", texts=("arm",))["arm"].tolist() == shown


def test_runs_that_are_written_alike_are_told_apart(tmp_path):
    for name in ("\x1b", "\\x1b", "\\x1b (2)"):
        write_run(tmp_path / "runs" / name, "8-8-8", rounds=2)
    runs, _ = compare(tmp_path / "runs", to=tmp_path / "report")
    assert sorted(runs) == ["\\x1b", "\\x1b (2)", "\\x1b (2) (2)"]


def test_finished_runs_without_a_last_accuracy_or_cost_are_compared_as_far_as_they_go(tmp_path):
    for seed in (0, 1):
        folder = tmp_path / "runs" / f"seed_{seed}"
        write_run(folder, "8-8-8", rounds=2)
        config = files.read_json(folder / "config.json") | {"seed": seed, "paper": "table2"}
        files.write(folder / "config.json", json.dumps(config))
        for table, column, cell in (("rounds.csv", "accuracy", ""), ("clients.csv", "energy_mj", "0")):
            header, *rows = (folder / table).read_text().splitlines()
            at = header.split(",").index(column)
            rows = [",".join([*row.split(",")[:at], cell, *row.split(",")[at + 1 :]]) for row in rows]
            (folder / table).write_text("\n".join([header, *rows, ""]))
    runs, _ = compare(tmp_path / "runs", to=tmp_path / "report")
    assert len(runs) == 2


@pytest.mark.parametrize("name", ["table.csv", "figures"])
def test_a_report_over_something_of_another_kind_deletes_nothing(tmp_path, name):
    write_run(tmp_path / "runs", "8-8-8", rounds=2)
    report = tmp_path / "report"
    (report / "figures").mkdir(parents=True)
    (report / "figures" / "accuracy_by_round.png").write_text("precious")
    (report / "runs.json").write_text("{}")
    if name == "figures":
        shutil.rmtree(report / "figures")
        (report / "figures").write_text("precious")
    else:
        (report / name).mkdir()
    before = content(report)
    with pytest.raises(ConfigError, match="holds no report of runs"):
        compare_runs.compare([tmp_path / "runs"], report)
    assert content(report) == before


def test_a_launch_looks_at_every_leaf_before_it_trains_the_first(trained, tmp_path, monkeypatch):
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "seed_1" / "8-8-8" / "table.csv").mkdir()
    monkeypatch.setattr(run_experiment, "run_arms", lambda *_: pytest.fail("trained"))
    with pytest.raises(RecordError, match=r"table\.csv is a folder, where a run has a file"):
        launch(toy_config(arms=("8-8-8", "halo_ps"), seeds=(0, 1), rounds=1), folder)
