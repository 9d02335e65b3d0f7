"""Finished runs are found, named and compared without training; what is wrong is one line."""

import io
import json
import shutil

import pytest
from rich.console import Console

from halo_jax import figures
from halo_jax.config import ConfigError
from halo_jax.records import files, run_folder
from halo_jax.records.files import read_columns
from halo_jax.reporting import compare_runs
from tests import record_fixture

ROUNDS = 4


def compare(*folders, to):
    text = io.StringIO()
    runs = compare_runs.compare(folders, to, console=Console(file=text, width=80))
    return runs, text.getvalue()


def write(folder, arm, **changes):
    """A finished run of `arm` whose config has other values."""
    record_fixture.write_run(folder, arm, rounds=ROUNDS)
    configure(folder, **changes)


def configure(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def unfinished(folder, arm, rounds):
    write(folder, arm)
    (folder / "summary.json").unlink()
    run_folder.resume(folder, rounds)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An experiment of two arms, one of two seeds, and a run by itself that was stopped."""
    root = tmp_path_factory.mktemp("runs")
    for arm in ("halo_ps", "8-8-8"):
        write(root / "a" / arm, arm)
    (root / "a" / "config.json").write_text(json.dumps({"arms": ["8-8-8", "halo_ps"]}))
    for seed in (0, 7):
        write(root / "b" / f"seed_{seed}" / "halo_ps", "halo_ps", seed=seed, batch_size=16)
        write(root / "b" / f"seed_{seed}" / "2-4-4", "2-4-4", seed=seed)
    unfinished(root / "c", "8-8-8", 2)
    unfinished(root / "d", "8-8-8", 0)
    return root


def test_an_experiment_is_compared_in_the_order_of_its_arms(runs, tmp_path):
    found, text = compare(runs / "a", runs / "a" / "halo_ps", to=tmp_path / "report")
    assert list(found) == ["8-8-8", "halo_ps"]
    assert "HaLo-FL" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
    rows = read_columns(tmp_path / "report" / "table.csv")
    assert rows["arm"].tolist()[:2] == ["8-8-8", "HaLo-FL (mean of groups)"]
    inside = {path.name for path in (tmp_path / "report").iterdir()}
    assert inside == {"table.csv", "report.html", "runs.json", "figures"}
    assert json.loads((tmp_path / "report" / "runs.json").read_text()) == {
        arm: str(runs / "a" / arm) for arm in ("8-8-8", "halo_ps")
    }


@pytest.mark.slow
def test_any_mix_is_named_by_the_shortest_ends_of_its_paths_and_seeds_are_averaged(runs, tmp_path):
    found, text = compare(runs / "c", runs / "b", runs / "a", runs / "d", to=tmp_path / "report")
    assert list(found) == [
        "c (unfinished, 2 of 4 rounds)",
        *("seed_0/2-4-4", "seed_0/halo_ps", "seed_7/2-4-4", "seed_7/halo_ps"),
        *("a/8-8-8", "a/halo_ps"),
    ]
    assert "left out, without a round: d" in text
    rows = read_columns(tmp_path / "report" / "comparison.csv")
    assert rows["seeds"].tolist() == [2, 2, 1, 1]  # batch_size tells a's halo_ps from b's
    assert rows["arm"].tolist() == ["2-4-4", "HaLo-FL", "a/8-8-8", "a/HaLo-FL"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png") == len(list((tmp_path / "report" / "figures").iterdir())) >= 4
    batch_size = page.partition("<th>batch_size</th>")[2].partition("</tr>")[0]
    assert (batch_size.count("<td>16</td>"), batch_size.count("<td>32</td>")) == (2, 5)

    compare(runs / "a", to=tmp_path / "report")  # a report may be replaced
    assert not (tmp_path / "report" / "comparison.csv").exists()


@pytest.fixture
def undrawn(monkeypatch):
    """Drawing takes most of the time."""
    for name in ("save_all", "save_comparison"):
        monkeypatch.setattr(figures, name, lambda *_: {})


@pytest.mark.usefixtures("undrawn")
def test_two_runs_of_one_config_and_seed_are_no_two_seeds(runs, tmp_path):
    shutil.copytree(runs / "b", tmp_path / "again")
    compare(runs / "b", tmp_path / "again", to=tmp_path / "report")
    rows = read_columns(tmp_path / "report" / "comparison.csv")
    assert rows["seeds"].tolist() == [2, 2, 2, 2]
    assert rows["arm"].tolist() == ["b/2-4-4", "b/HaLo-FL", "again/2-4-4", "again/HaLo-FL"]


@pytest.mark.usefixtures("undrawn")
def test_a_field_that_is_younger_than_a_run_has_its_default(runs, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "old")
    path = tmp_path / "old" / "8-8-8" / "config.json"
    config = json.loads(path.read_text())
    del config["tensorboard"], config["noise"]["per"]
    path.write_text(json.dumps(config))
    found, _ = compare(tmp_path / "old", to=tmp_path / "report")
    assert found["8-8-8"].config["noise"]["per"] == "programming"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda run: shutil.rmtree(run), ConfigError, "is no folder"),
        (lambda run: (run / "rounds.csv").unlink(), ConfigError, "holds no run"),
        (lambda run: run_folder.resume(run, 0) or (run / "summary.json").unlink(), ConfigError, "has a finished round"),
        (lambda run: (run / "config.json").write_text("{"), files.RecordError, "config.json"),
        (lambda run: configure(run, recipe=3), files.RecordError, "config.json: recipe.name is missing"),
        (lambda run: configure(run, new=3), files.RecordError, "config.json: unknown field 'new'"),
        (lambda run: configure(run, width="x"), files.RecordError, "config.json: "),
        (lambda run: configure(run, width=-1), files.RecordError, "config.json: width=-1"),
        (lambda run: (run / "rounds.csv").write_text("round\n"), files.RecordError, "rounds.csv"),
    ],
)
def test_a_folder_that_cannot_be_compared_is_one_line_and_nothing_is_written(runs, tmp_path, change, error, words):
    shutil.copytree(runs / "a" / "8-8-8", tmp_path / "run")
    change(tmp_path / "run")
    with pytest.raises(error, match=words) as caught:
        compare(tmp_path / "run", to=tmp_path / "report")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("names", [["thesis.txt"], ["runs.json", "thesis.txt"], ["config.json", "table.csv"]])
def test_a_folder_that_is_no_report_is_never_touched(runs, tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError, match="use another --workdir"):
        compare(runs / "a", to=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.usefixtures("undrawn")
def test_seeds_without_arms_are_called_by_their_selector(tmp_path):
    for seed in (0, 1):
        write(tmp_path / "exp" / f"seed_{seed}", "halo_ps", seed=seed)
    compare(tmp_path / "exp", to=tmp_path / "report")
    rows = read_columns(tmp_path / "report" / "comparison.csv")
    assert (rows["arm"].tolist(), rows["seeds"].tolist()) == (["HaLo-FL"], [2])


@pytest.mark.usefixtures("undrawn")
def test_arms_of_one_name_and_other_configs_are_no_two_seeds(tmp_path):
    for folder, seed, batch_size in (("x", 0, 16), ("y", 1, 64), ("z", 0, 32), ("z", 1, 32)):
        write(tmp_path / folder / f"seed_{seed}" / "8-8-8", "8-8-8", seed=seed, batch_size=batch_size)
    compare(*(tmp_path / name for name in "xyz"), to=tmp_path / "report")
    rows = read_columns(tmp_path / "report" / "comparison.csv")
    assert (rows["arm"].tolist(), rows["seeds"].tolist()) == (["x/8-8-8", "y/8-8-8", "z/8-8-8"], [1, 1, 2])
