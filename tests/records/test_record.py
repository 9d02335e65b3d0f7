"""The run folder keeps every bit and survives an interruption."""

import json
from pathlib import Path

import numpy as np
import pytest

from halo_jax.config import default
from halo_jax.records import run_folder
from halo_jax.records.columns import csv_text
from halo_jax.records.rows import ClientRecord, FingerprintRecord, RoundRecord
from halo_jax.runtime import safe_files
from tests.record_fixture import write_run

CLIENT = ClientRecord(
    1,
    0,
    "energy",
    8,
    6,
    4,
    0.1,
    1 / 3,
    1e-300,
    2**40,
    1,
    2,
    2**33 + 1,
    3,
    4,
    1,
    17,
    np.float32(0.1),
    0,
    "",
    0.5,
    1e-45,
    1 / 7,
    2.5,
    1,
)
PRINTS = [FingerprintRecord(1, "aggregate", None, "00000000deadbeef")]
ROUND = RoundRecord(
    1,
    8.0,
    np.float32(1 / 3),
    None,
    np.float32(0.8014),
    np.nan,
    8,
    6.5,
    4,
    0.1,
    np.pi,
    1e22,
    2**53 + 1,
    5,
    6,
    7,
    8,
    9,
    3,
    300,
    np.float32(174.68),
    5.0246,
    0.25,
)


@pytest.fixture
def folder(tmp_path) -> Path:
    config = default()
    config.selector.name, config.seeds = "static", (3, 4)
    run_folder.create(tmp_path / "run", config.to_dict())
    return tmp_path / "run"


def same_bits(read: np.ndarray, written) -> bool:
    kind = np.asarray(written).dtype
    return read.astype(kind).tobytes() == np.asarray([written], dtype=kind).tobytes()


def test_every_column_reads_back_to_the_same_bits(folder):
    run_folder.append(folder, ROUND, [CLIENT], PRINTS)
    run = run_folder.read(folder)
    assert tuple(run.rounds) == RoundRecord._fields
    assert tuple(run.clients) == ClientRecord._fields
    for columns, row in ((run.rounds, ROUND), (run.clients, CLIENT)):
        for name, value in row._asdict().items():
            if value is None or value is np.nan:
                assert np.isnan(columns[name]).all()
            elif isinstance(value, str):
                assert columns[name].tolist() == [value]
            else:
                assert same_bits(columns[name], value), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_finite_float_reads_back_to_the_same_bits(folder, dtype):
    words = np.random.default_rng(0).integers(0, 2**63, 3000, dtype=np.uint64).astype(f"u{dtype().nbytes}")
    values = [value for value in words.view(dtype) if np.isfinite(value)]
    run_folder.append(folder, ROUND, [CLIENT._replace(train_loss=value) for value in values], PRINTS)
    assert run_folder.read(folder).clients["train_loss"].astype(dtype).tobytes() == np.array(values).tobytes()


def test_float32_is_written_with_its_own_digits_and_none_as_an_empty_cell(folder):
    run_folder.append(folder, ROUND, [CLIENT], PRINTS)
    cells = dict(zip(RoundRecord._fields, (folder / "rounds.csv").read_text().split("\n")[1].split(","), strict=True))
    assert cells["accuracy"] == "0.8014"
    assert cells["test_loss"] == ""
    assert cells["top5_accuracy"] == "nan"
    assert cells["payload_up_bits"] == "9007199254740993"


def test_header_stands_once_and_a_round_is_on_disk_when_append_returns(folder):
    for number in (1, 2):
        run_folder.append(
            folder, ROUND._replace(round=number), [CLIENT._replace(round=number)], [PRINTS[0]._replace(round=number)]
        )
        assert (folder / "rounds.csv").read_text().count("\n") == 1 + number
    assert (folder / "clients.csv").read_text().count("learning_rate,") == 0
    assert (folder / "clients.csv").read_text().count("constraint") == 1


def test_clients_of_a_round_are_written_before_the_round(folder, monkeypatch):
    order = []

    append = safe_files.append
    monkeypatch.setattr(safe_files, "append", lambda path, data: (order.append(path.name), append(path, data)))
    run_folder.append(folder, ROUND, [CLIENT], PRINTS)
    assert order == ["clients.csv", "fingerprints.csv", "rounds.csv"]


def test_read_leaves_out_a_round_that_is_not_complete(folder):
    run_folder.append(folder, ROUND, [CLIENT], PRINTS)
    with open(folder / "clients.csv", "a") as file:
        file.write(csv_text([CLIENT._replace(round=2)]) + "2,1,ener")
    run = run_folder.read(folder)
    assert run.clients["round"].tolist() == [1]
    assert run.summary == {}


def test_resume_drops_later_rounds_and_half_lines_and_goes_on(tmp_path):
    folder = tmp_path / "run"
    whole = write_run(folder, rounds=6)
    (folder / "summary.json").unlink()  # not finished
    tables = ("clients.csv", "rounds.csv")
    later = {
        name: [line for line in (folder / name).read_text().split("\n") if line.startswith("5,")] for name in tables
    }
    for name in tables:
        with open(folder / name, "a") as file:
            file.write("7,0.125,0.1")
    run_folder.resume(folder, 4)
    assert set(run_folder.read(folder).clients["round"]) == {1, 2, 3, 4}
    kept = (folder / "rounds.csv").read_text()
    assert kept.endswith("\n")
    assert "7,0.125" not in kept + (folder / "clients.csv").read_text()
    for name in tables:
        with open(folder / name, "a") as file:
            file.write("\n".join([*later[name], ""]))
    run = run_folder.read(folder)
    assert run.rounds["round"].tolist() == [1, 2, 3, 4, 5]
    assert run.rounds["train_loss"].tobytes() == whole.rounds["train_loss"][:5].tobytes()


def test_resume_keeps_the_bytes_of_what_it_keeps(tmp_path):
    write_run(tmp_path / "run", rounds=3)
    (tmp_path / "run" / "summary.json").unlink()
    before = [(tmp_path / "run" / name).read_bytes() for name in ("rounds.csv", "clients.csv")]
    run_folder.resume(tmp_path / "run", 3)
    assert [(tmp_path / "run" / name).read_bytes() for name in ("rounds.csv", "clients.csv")] == before
    run_folder.resume(tmp_path / "run", 0)
    assert len(run_folder.read(tmp_path / "run").rounds["round"]) == 0


def test_config_and_summary_come_back(folder):
    run_folder.finish(folder, {"accuracy": np.float32(0.1), "bits": np.arange(2), "loss": np.nan, "seed": np.int32(3)})
    run = run_folder.read(folder)
    defaults = json.loads(json.dumps(default().to_dict()))
    assert run.config == {**defaults, "seeds": [3, 4], "selector": {**defaults["selector"], "name": "static"}}
    assert run.summary == {"accuracy": 0.1, "bits": [0, 1], "loss": None, "seed": 3}
    assert not run.selects
