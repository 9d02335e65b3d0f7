"""A sweep is points in order, a folder and an experiment each, and one comparison of all."""

import itertools
import random

import pytest

from halo_jax.config import FIELDS, ConfigError, default
from halo_jax.config import plan as sweep
from halo_jax.config.plan import plan, points
from halo_jax.records import run_folder
from halo_jax.records.files import read_columns
from halo_jax.studies.run_study import run_study
from tests.toy_run import launch, toy_config, without_seconds

ARMS = ("8-8-8", "4-4-4")


def swept(*entries, **values):
    return toy_config(**{"arms": ARMS, "rounds": 1, "sweep": entries, **values})


def refused(config, folder) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(config, folder)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 400
    return text


def test_entries_multiply_and_fields_of_one_entry_go_together():
    found = points(("partition.alpha=0.1|1e0", "width=0.125|0.25; rounds=20|40", "exact=true"))
    assert list(found) == [
        "partition.alpha=0.1,width=0.125,rounds=20,exact=true",
        "partition.alpha=0.1,width=0.25,rounds=40,exact=true",
        "partition.alpha=1,width=0.125,rounds=20,exact=true",
        "partition.alpha=1,width=0.25,rounds=40,exact=true",
    ]
    assert list(found.values())[3] == {"partition.alpha": 1.0, "width": 0.25, "rounds": 40, "exact": True}
    assert points(()) == {}


def test_tuples_names_and_paths_name_a_legal_folder():
    entries = "selector.reduce_rounds=(1,2)|(3,)|()", "hardware.device=calibrated|/a chip/é=1.yaml"
    found = list(points(entries))
    assert found[0] == "selector.reduce_rounds=(1,2),hardware.device=calibrated"
    assert found[3] == "selector.reduce_rounds=(3,),hardware.device=%2Fa chip%2F%C3%A9%3D1.yaml"
    assert found[4] == "selector.reduce_rounds=(),hardware.device=calibrated"
    rates = "|".join(f"({','.join(f'{i}.{j}' for j in range(90))})" for i in (1, 2))
    long = list(points((f"recipe.wage.learning_rates={rates}",)))
    assert len(set(long)) == 2
    assert all(len(name) == 200 for name in long)


def test_a_folder_depends_on_its_own_values_alone():
    some, more = points(("rounds=1|2",)), points(("rounds=3|1|2",))
    assert some == {name: more[name] for name in some}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("rounds",), "sweep='rounds': 'rounds' is not of the form FIELD=VALUE|VALUE|..."),
        (("rounds=1|2;",), "sweep='rounds=1|2;': '' is not of the form FIELD=VALUE|VALUE|..."),
        (("round=1",), "sweep='round=1': unknown field 'round'; did you mean rounds?"),
        (("rounds=1|two",), "sweep='rounds=1|two': rounds='two'; allowed: a whole number from 1 to 1000000"),
        (("rounds=1|1.5",), "sweep='rounds=1.5': rounds=1.5; allowed: a whole number from 1 to 1000000"),
        (("rounds=1|",), "sweep='rounds=1|': rounds=''; allowed: a whole number from 1 to 1000000"),
        (("rounds=0|1",), "sweep='rounds=0': rounds=0; allowed: a whole number from 1 to 1000000"),
        (("rounds=1|1",), "sweep has the point 'rounds=1' twice; allowed: each once"),
        (("rounds=1", "rounds=2"), "sweep says rounds in two entries; allowed: each field once"),
        (("rounds=1;rounds=2",), "sweep='rounds=1;rounds=2': rounds stands there twice"),
        (
            ("width=0.1|0.2;rounds=1|2|3",),
            "sweep='width=0.1|0.2;rounds=1|2|3': fields that go together have as many values each, but width has 2, "
            "rounds has 3",
        ),
        (
            ("arms=8-8-8",),
            "sweep='arms=8-8-8': arms cannot be swept; allowed: any field but name, arms, seeds, sweep, paper, study, "
            "stack",
        ),
        (
            ("precision=8-8-8",),
            "sweep='precision=8-8-8': precision is read by studies only; precisions of a training are arms, or "
            "selector.start",
        ),
        (
            ("rounds=" + "|".join(map(str, range(1, 40))), "seed=" + "|".join(map(str, range(40)))),
            "sweep has 1560 points; allowed: at most 1000",
        ),
        (
            ("selector.start=8-8-8|6-6-6",),
            "sweep='selector.start=6-6-6': selector.start reaches no arm, as each of arms=('8-8-8', '4-4-4') says its "
            "own",
        ),
        (("width=1" + "0" * 400,), None),
        (("seed=" + "9" * 1900,), None),
    ],
)
def test_a_wrong_sweep_is_one_line_that_says_what_would_be_right(tmp_path, entries, message):
    text = refused(swept(*entries), tmp_path)
    assert message is None or text == message


def test_a_seed_is_said_once(tmp_path):
    assert refused(swept("seed=1|2", seeds=(0,)), tmp_path) == (
        "sweep and seeds=(0,) both say the seed; allowed: one of them"
    )


def test_random_sweeps_are_taken_or_refused_in_one_line():
    draw, taken, lines = random.Random(0), 0, []
    values = ("1", "2", "0.5", "(1,)", "true", "8-8-8", "", "(", "é", "9" * 80, "None", "a=b", " 3 ")
    for _ in range(1500):
        entries = []
        for _ in range(draw.randrange(1, 3)):
            fields = draw.choices((*FIELDS, "rounds", "width", "seed", "nope"), k=draw.choice((1, 1, 2)))
            entry = ";".join(f"{name}={'|'.join(draw.choices(values[:4], k=draw.choice((1, 2))))}" for name in fields)
            entries.append(entry if draw.random() < 0.8 else f"{draw.choice(fields)}={draw.choice(values)}")
        try:
            found = points(entries)
        except ConfigError as error:
            lines.append(str(error))
            continue
        taken += 1
        assert all(0 < len(name) <= 200 and "/" not in name and name[0] != "." for name in found)
        again = [";".join(f"{k}={sweep.text(v)}" for k, v in point.items()) for point in found.values()]
        assert [name for entry in again for name in points((entry,))] == list(found)  # a value reads back
    assert 200 < taken < 1300
    assert all(line.isprintable() and len(line) < 300 for line in lines)


def test_points_hold_seeds_and_seeds_hold_arms(tmp_path):
    root = plan(swept("rounds=2|3", seeds=(5, 4)), tmp_path)
    folders = [one.folder.relative_to(tmp_path) for one in root.leaves()]
    assert [*map(str, folders)] == [f"rounds={r}/seed_{s}" for r, s in itertools.product((2, 3), (5, 4))]
    assert [(one.config.rounds, one.config.seed) for one in root.leaves()] == [(2, 5), (2, 4), (3, 5), (3, 4)]
    assert [one.folder.name for one in root.branches()] == [tmp_path.name, "rounds=2", "rounds=3"]
    (alone,) = plan(default(), tmp_path).leaves()
    assert alone.arms() == {"halo_ps": tmp_path}


def test_a_study_has_no_sweep(tmp_path):
    config = default()
    config.study, config.sweep = "cost", ("rounds=1|2",)
    with pytest.raises(ConfigError, match=r"^sweep=\('rounds=1\|2',\); allowed with a study: \(\)"):
        run_study(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Two seeds of one arm at two points: the folder, what was printed, and the config."""
    folder = tmp_path_factory.mktemp("grid") / "toy"
    config = swept("batch_size=8|16", "partition.name=iid", arms=("8-8-8",), seeds=(0, 1))
    return folder, launch(config, folder), config


@pytest.mark.slow
def test_a_point_is_the_experiment_alone_and_the_comparison_has_a_row_for_each_point_and_arm(grid, tmp_path):
    folder, text, config = grid
    at = [f"batch_size={size},partition.name=iid" for size in (8, 16)]
    assert {path.name for path in folder.iterdir()} == {
        *at,
        *("comparison.csv", "config.json", "figures", "report.html"),
    }
    assert {path.name for path in (folder / "figures").glob("*")} >= {"sweep.png", "accuracy_by_energy.png"}
    assert not (folder / at[0] / "figures" / "sweep.png").exists()
    alone = toy_config(arms=("8-8-8",), rounds=1, batch_size=16, seed=1)
    launch(alone, tmp_path / "alone")
    inside = folder / at[1] / "seed_1" / "8-8-8"
    assert (tmp_path / "alone" / "8-8-8" / "clients.csv").read_bytes() == (inside / "clients.csv").read_bytes()
    assert without_seconds(tmp_path / "alone" / "8-8-8" / "rounds.csv") == without_seconds(inside / "rounds.csv")

    rows = read_columns(folder / "comparison.csv")
    assert list(rows)[:4] == ["batch_size", "partition.name", "arm", "quantised_training"]
    assert rows["batch_size"].tolist() == [8, 16]
    assert rows["seeds"].tolist() == [2, 2]
    for name, mean, spread in zip(at, rows["accuracy_percent"], rows["accuracy_spread_percent"], strict=True):
        one, other = (
            100 * run_folder.read(folder / name / f"seed_{s}" / "8-8-8").rounds["accuracy"][-1] for s in (0, 1)
        )
        assert mean == pytest.approx((one + other) / 2)
        assert spread == pytest.approx(abs(one - other) / 2**0.5)
        (own,) = read_columns(folder / name / "comparison.csv")["accuracy_percent"]
        assert own == mean
    assert "batch_size=16, partition.name=iid: 8-8-8" in " ".join(text.split())
    assert "batch_size=16, partition.name=iid: 8-8-8" in (folder / "report.html").read_text()
    assert config.sweep == ("batch_size=8|16", "partition.name=iid")


@pytest.mark.slow
def test_a_second_launch_trains_nothing_and_a_larger_sweep_only_what_is_new(grid, monkeypatch):
    folder, _, config = grid
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("batch_size=*/seed_*/**/*") if path.is_file()}
    (folder / "report.html").unlink()
    monkeypatch.setattr("halo_jax.runner.run_experiment.assemble_all", lambda *_, **__: pytest.fail("assembled"))
    assert "  round " not in launch(config, folder)
    assert (folder / "report.html").exists()
    monkeypatch.undo()
    grown = swept("batch_size=4|8|16", "partition.name=iid", arms=("8-8-8",), seeds=(0, 1))
    text = launch(grown, folder)
    assert text.count("  round ") == 2
    assert [line for line in text.splitlines() if line.endswith("seed_1")] == ["batch_size=4,partition.name=iid/seed_1"]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert read_columns(folder / "comparison.csv")["batch_size"].tolist() == [4, 8, 16]
    with pytest.raises(ConfigError, match=r"holds another run \(sweep=\('batch_size=4\|8\|16', .* there"):
        launch(config, folder)
    (folder / "notes.txt").write_text("mine")
    launch(swept("batch_size=16", arms=("8-8-8",)), folder, overwrite=True)
    names = {path.name for path in folder.iterdir()}
    assert {"batch_size=16", "notes.txt"} <= names
    assert not [name for name in names if "partition" in name]


def test_what_is_wrong_with_any_point_is_said_before_anything_is_written(tmp_path):
    for entry, message in (
        ("num_clients=4|38", "sweep='num_clients=38': num_clients=38; allowed: at most the 37 training images"),
        ("model=small_cnn|nope", "sweep='model=nope': .*model='nope'; known: "),
    ):
        with pytest.raises(ConfigError, match=message):
            launch(swept(entry), tmp_path / "new")
        assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_with_the_point_that_was_stopped(tmp_path, monkeypatch):
    config, append = swept("seed=0|1", arms=("8-8-8",), rounds=2, checkpoint_every=1), run_folder.append

    def stop(path, row, *others):
        if "seed=1" in str(path) and row.round == 2:
            raise KeyboardInterrupt
        append(path, row, *others)

    monkeypatch.setattr(run_folder, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        launch(config, tmp_path / "toy")
    monkeypatch.undo()
    lines = launch(config, tmp_path / "toy").splitlines()
    assert [line.split("  loss")[0] for line in lines if "  round " in line] == ["8-8-8  round   2/2"]
    assert read_columns(tmp_path / "toy" / "comparison.csv")["seed"].tolist() == [0, 1]
