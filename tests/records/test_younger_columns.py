"""A run that is older than a column is read, compared and gone on with; it keeps the columns that it began with."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from halo_jax.records import files, run_folder, tensorboard
from halo_jax.records.rows import KEYS, ClientRecord, RoundRecord
from halo_jax.reporting import compare_runs
from tests.record_fixture import client_rows, round_row, write_run
from tests.toy_run import launch, toy_config

YOUNGER = {"rounds.csv": ("energy_joule", "uploads"), "clients.csv": ("energy_mj", "dead_layer", "uploads")}


def drop(folder, tables=YOUNGER):
    """Take columns out of tables, as if the run were older than they are."""
    for table, names in tables.items():
        lines = [line.split(",") for line in (folder / table).read_text().splitlines()]
        kept = [i for i, name in enumerate(lines[0]) if name not in names]
        (folder / table).write_text("".join(",".join(line[i] for i in kept) + "\n" for line in lines))


def test_missing_columns_are_read_as_empty_and_named(tmp_path):
    full = write_run(tmp_path, rounds=3)
    drop(tmp_path)
    run = run_folder.read(tmp_path)
    assert run.lacks == (
        *("rounds.csv uploads", "rounds.csv energy_joule"),
        *("clients.csv energy_mj", "clients.csv uploads", "clients.csv dead_layer"),
    )
    assert (full.lacks, tuple(run.rounds), tuple(run.clients)) == ((), RoundRecord._fields, ClientRecord._fields)
    for name, column in run.clients.items():
        if name == "dead_layer":
            assert column.tolist() == [""] * len(full.clients[name])
        elif name in YOUNGER["clients.csv"]:
            assert np.isnan(column).all()
        else:
            assert column.tolist() == full.clients[name].tolist()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda names: ["what", *names[1:]], "'what' is unknown"),
        (lambda names: [*names[:3], names[2], *names[4:]], f"{ClientRecord._fields[2]} is there twice"),
        (lambda names: [names[0], names[2], names[1], *names[3:]], "client comes after constraint"),
        (lambda names: [], "round is missing"),
    ],
)
def test_other_columns_and_another_order_are_one_line(tmp_path, change, wrong):
    write_run(tmp_path, rounds=1)
    header, _, rows = (tmp_path / "clients.csv").read_text().partition("\n")
    (tmp_path / "clients.csv").write_text(",".join(change(header.split(","))) + "\n" + rows)
    for use in (run_folder.read, lambda folder: run_folder.resume(folder, 1)):
        with pytest.raises(
            files.RecordError, match=r"clients\.csv: the first line is not round,.*: " + wrong
        ) as caught:
            use(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [key for key in KEYS if key in ClientRecord._fields])
def test_without_the_columns_that_say_which_row_it_is_a_table_is_none(tmp_path, key):
    write_run(tmp_path, rounds=1)
    drop(tmp_path, {"clients.csv": (key,)})
    with pytest.raises(files.RecordError, match=f": {key} is missing"):
        run_folder.read(tmp_path)


def test_a_run_that_goes_on_keeps_its_columns_and_loses_nothing(tmp_path):
    write_run(tmp_path / "full", "8-8-8", rounds=4)
    write_run(tmp_path / "old", "8-8-8", rounds=4)
    (tmp_path / "old" / "summary.json").unlink()
    drop(tmp_path / "full")
    drop(tmp_path / "old")
    run_folder.resume(tmp_path / "old", 3)
    clients = client_rows("8-8-8", 4, 4)
    run_folder.append(tmp_path / "old", round_row("8-8-8", 4, 4, clients, 1), clients, [])
    for table in YOUNGER:
        assert (tmp_path / "old" / table).read_bytes() == (tmp_path / "full" / table).read_bytes()


@pytest.mark.slow
def test_training_goes_on_to_the_same_model(tmp_path):
    def stop(arm, row):
        if row.round == 3:
            raise RuntimeError("for the night")

    config = toy_config(arms=("8-8-8",), checkpoint_every=1)
    launch(config, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="for the night"):
        launch(config, tmp_path / "old", on_round=stop)
    drop(tmp_path / "old" / "8-8-8")
    said = launch(config, tmp_path / "old")
    whole, old = (run_folder.read(tmp_path / name / "8-8-8") for name in ("whole", "old"))
    assert old.summary["model_sha256"] == whole.summary["model_sha256"]
    assert len(old.rounds["round"]) == config.rounds
    assert "8-8-8 recorded no rounds.csv uploads, rounds.csv energy_joule, clients.csv energy_mj," in said


def test_event_files_leave_out_what_was_not_recorded(tmp_path):
    write_run(tmp_path, rounds=2)
    drop(tmp_path)
    run = run_folder.read(tmp_path)
    row = RoundRecord(**{name: run.rounds[name][0] for name in RoundRecord._fields})
    assert not {"payload/uploads", "clock/energy_joule"} & tensorboard.scalars(row).keys()
    tensorboard.EventFile(tmp_path).close()


def test_a_report_leaves_empty_what_was_not_recorded_and_says_so_once(tmp_path):
    for seed in (0, 1):
        for arm in ("8-8-8", "halo_ps", "2-4-4"):
            folder = tmp_path / "runs" / f"seed_{seed}" / arm
            write_run(folder, arm, rounds=2)
            (folder / "config.json").write_text(json.dumps(run_folder.recorded_config(folder) | {"seed": seed}))
            drop(folder)
    text = io.StringIO()
    compare_runs.compare([tmp_path / "runs"], tmp_path / "report", console=Console(file=text, width=80))
    (line,) = [line for line in text.getvalue().splitlines() if "recorded no" in line]
    assert line.startswith(
        "seed_0/2-4-4, seed_0/8-8-8, seed_0/halo_ps, seed_1/2-4-4 and 2 more recorded no rounds.csv "
    )
    assert line in (tmp_path / "report" / "report.html").read_text()
    assert "nan" not in text.getvalue()
    rows = files.read_columns(tmp_path / "report" / "comparison.csv")
    for name, column in rows.items():
        if name in ("energy_mj", "energy_joule", "uploads_percent"):
            assert np.isnan(column).all()
    assert np.isfinite(rows["latency_s"]).all()
    assert "nan" not in (tmp_path / "report" / "comparison.csv").read_text()
    drawn = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    assert not drawn & {"accuracy_by_energy_used", "accuracy_by_energy", "cost_by_round"}
    assert drawn >= {"accuracy_by_round", "accuracy_by_time", "accuracy_by_latency"}
