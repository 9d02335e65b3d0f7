"""A study from a config to a folder; what is wrong is one line and leaves nothing."""

import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from rich.console import Console

from halo_jax import config
from halo_jax.hardware import PLATFORMS, halosim
from halo_jax.records import files, run_folder
from halo_jax.studies import STUDIES, Table
from halo_jax.studies.run_study import MOST_ROWS, render, run_study
from tests.runner.test_launch import assert_one_line, start

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def answer(changed, workdir, **options) -> str:
    said = io.StringIO()
    run_study(changed, workdir, console=Console(file=said, width=80), **options)
    return said.getvalue()


def of(study: str, **changes):
    changed = config.default()
    changed.study, changed.dataset, changed.rounds = study, "digits", 4
    changed.update(changes)
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_every_study_writes_its_tables_as_csv_and_json_and_its_chip(study, tmp_path):
    said = answer(of(study), tmp_path / "run")
    tables = STUDIES[study](of(study))
    assert {path.stem for path in (tmp_path / "run" / "tables").iterdir()} == tables.keys()
    for name, table in tables.items():
        columns = files.read_columns(tmp_path / "run" / "tables" / f"{name}.csv")
        assert tuple(columns) == table.rows[0]._fields
        loaded = json.loads((tmp_path / "run" / "tables" / f"{name}.json").read_text())
        assert loaded["title"] == table.title
        for field, column in columns.items():
            values = [getattr(row, field) for row in table.rows]
            assert [row[field] for row in loaded["rows"]] == files.plain(values)
            if column.dtype == float:
                given = np.array([np.nan if value in (None, "") else float(value) for value in values], np.float32)
                np.testing.assert_array_equal(column.astype(np.float32), given)
        assert not table.shown or table.title.split()[0] in said
    assert json.loads((tmp_path / "run" / "config.json").read_text())["study"] == study
    assert halosim.load_device(tmp_path / "run" / "device.yaml") == halosim.CALIBRATED
    assert "\u2026" not in said, "a cell is cut at 80 columns"


@pytest.mark.parametrize(
    "path",
    sorted([*EXPERIMENTS.glob("*.py"), *EXPERIMENTS.glob("questions/*.py"), *EXPERIMENTS.glob("paper/*.py")]),
    ids=lambda path: path.stem,
)
def test_every_experiment_says_how_it_is_run(path):
    program = "launch.py --config=" if "def get_config" in path.read_text() else ""
    assert (
        f"python {program}experiments/{path.relative_to(EXPERIMENTS)}" in path.read_text()
        or path.name == "quickstart.py"
    )


def test_another_answer_to_the_same_question_replaces_the_first(tmp_path):
    answer(of("cost", precision="2..4-4-4"), tmp_path)
    assert (tmp_path / "tables" / "grid.csv").exists()
    answer(of("cost", precision="6-4-4"), tmp_path)
    assert not (tmp_path / "tables" / "grid.csv").exists()
    assert (tmp_path / "tables" / "totals.csv").exists()


def test_a_folder_of_another_question_is_kept(tmp_path):
    answer(of("cost"), tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(config.ConfigError, match=r"holds another run \(study='cost' there, 'payload' here\)"):
        answer(of("payload"), tmp_path)
    assert (tmp_path / "config.json").read_bytes() == before
    answer(of("payload"), tmp_path, overwrite=True)
    assert [path.name for path in sorted((tmp_path / "tables").iterdir())] == ["payload.csv", "payload.json"]


def test_a_training_run_is_never_replaced_by_a_study(tmp_path):
    run_folder.create(tmp_path, config.default().to_dict())
    with pytest.raises(config.ConfigError, match=r"study='' there"):
        answer(of("cost"), tmp_path)


def test_somebody_elses_folder_is_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(config.ConfigError, match="is not empty and not a run folder"):
        answer(of("cost"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"study": "prices"}, "study='prices'; known: "),
        ({"model": "vgg8"}, "model='vgg8'; known: "),
        ({"dataset": "imagenet"}, "dataset='imagenet'; known: "),
        ({"image_shape": (4, 4, 3)}, "vgg7 pools three times: images are 4x4"),
        ({"image_shape": (4, 4)}, r"image_shape=\(4, 4\); allowed: height, width and channels"),
        ({"hardware": {"name": "abacus"}}, "hardware.name='abacus'; known: halosim"),
        ({"hardware": {"device": "mine.yaml"}}, "mine.yaml: No such file"),
        ({"image_shape": (1024, 1024, 3)}, r"vgg7 for digits: layers too large to count exactly"),
        ({"study": "breakdown", "precision": "2..4-4-4"}, "is a grid; allowed: one precision"),
        ({"precision": "9..8-8-8"}, "precision='9..8-8-8'; allowed: "),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path, changes, words):
    with pytest.raises(config.ConfigError, match=words) as error:
        answer(of(**{"study": "cost", **changes}), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(files.RecordError, match="file"):
        answer(of("cost"), tmp_path / "file" / "run")


@pytest.mark.slow
def test_one_command_prices_a_chip(tmp_path):
    done = start(
        "--config=experiments/questions/cost.py", "--config.model=vgg7", "--config.precision=6-4-4",
        f"--workdir={tmp_path / 'run'}",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "vgg7 for cifar10 at 6-4-4" in done.stdout
    assert "QuantConv_0" in done.stdout
    wrong = start("--config=experiments/questions/cost.py", "--config.precision=6-4", f"--workdir={tmp_path / 'wrong'}")
    assert wrong.returncode == 2
    assert_one_line(wrong.stderr)
    assert "precision='6-4'" in wrong.stderr
    assert not (tmp_path / "wrong").exists()


class Row(NamedTuple):
    """Anything."""

    name: str
    energy_mj: float
    holds: bool
    share_percent: float | None


def test_long_tables_are_cut_and_markup_is_text():
    rows = [Row(f"Dense_0[{i}]", np.float32(0.123456), np.bool_(True), None) for i in range(MOST_ROWS + 5)]
    said = io.StringIO()
    Console(file=said, width=80).print(render(Table("Title [red]", rows)))
    text = said.getvalue()
    assert "Title [red]" in text
    assert "Dense_0[0]" in text
    assert "0.1235" in text
    assert f"Dense_0[{MOST_ROWS}]" not in text
    assert "5 more rows in the files" in text


def test_every_platform_says_which_fields_its_file_has(tmp_path):
    for name, device in (("halosim", "physical"), ("bit_serial", "stripes_45nm")):
        answer(of("cost", hardware={"name": name, "device": device}), tmp_path / name)
        again = PLATFORMS[name](str(tmp_path / name / "device.yaml"))
        assert again.device == PLATFORMS[name](device).device
