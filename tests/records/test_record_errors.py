"""What cannot be written or read is told in one line that names the file, and leaves nothing half-written."""

import errno
import json
import os
from pathlib import Path

import pytest

from halo_jax.config import default
from halo_jax.records import files, run_folder
from halo_jax.records.files import RecordError
from halo_jax.records.rows import ClientRecord, FingerprintRecord
from tests.record_fixture import client_rows, round_row

CLIENTS = client_rows("8-8-8", 1, 1)
ROUND = round_row("8-8-8", 1, 1, CLIENTS, 1)
PRINTS = [FingerprintRecord(1, "aggregate", None, "00000000deadbeef")]


@pytest.fixture
def folder(tmp_path) -> Path:
    run_folder.create(tmp_path / "run", default().to_dict())
    return tmp_path / "run"


def one_line(error: pytest.ExceptionInfo, name: str) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert name in text
    return text


def test_resume_after_a_round_that_was_never_written_fails(folder):
    run_folder.append(folder, ROUND, CLIENTS, PRINTS)
    with pytest.raises(RecordError) as error:
        run_folder.resume(folder, 3)
    assert "round 2 is missing" in one_line(error, "clients.csv")


def test_a_summary_that_cannot_be_written_leaves_the_old_one(folder, monkeypatch):
    run_folder.finish(folder, {"accuracy": 0.5})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RecordError) as error:
        run_folder.finish(folder, {"accuracy": 0.9})
    assert "No space left on device" in one_line(error, "summary.json")
    assert json.loads((folder / "summary.json").read_text()) == {"accuracy": 0.5}
    assert sorted(os.listdir(folder)) == [
        "clients.csv",
        "config.json",
        "fingerprints.csv",
        "rounds.csv",
        "summary.json",
    ]


def test_a_table_that_is_a_link_gets_no_round(folder):
    (folder / "clients.csv").rename(folder / "elsewhere")
    (folder / "clients.csv").symlink_to("elsewhere")
    before = (folder / "elsewhere").read_bytes()
    with pytest.raises(RecordError) as error:
        run_folder.append(folder, ROUND, CLIENTS, PRINTS)
    assert "symbolic links" in one_line(error, "clients.csv")
    assert (folder / "elsewhere").read_bytes() == before


def test_an_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError) as error:
        run_folder.create(tmp_path / "file" / "run", {})
    one_line(error, "file")


def test_create_does_not_overwrite_a_run(folder):
    with pytest.raises(RecordError) as error:
        run_folder.create(folder, {})
    assert "already there" in one_line(error, "config.json")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("rounds.csv", None, "No such file"),
        ("config.json", None, "No such file"),
        ("config.json", "{", "line 1"),
        ("summary.json", "[1]", "not a JSON object"),
        ("rounds.csv", "", "first line is not round,"),
        ("rounds.csv", "a,b\n1,2\n", "first line is not round,"),
        (
            "clients.csv",
            ",".join(ClientRecord._fields) + "\n1,2\n",
            f"line 2 has 2 cells, not {len(ClientRecord._fields)}",
        ),
        ("clients.csv", ",".join(ClientRecord._fields) + "\n" + "x," * (len(ClientRecord._fields) - 1) + "x\n", "x"),
        ("clients.csv", ",".join(ClientRecord._fields) + "\n\udcff\n", "utf-8"),
    ],
)
def test_a_wrong_file_is_one_line(folder, name, text, reason):
    if text is None:
        os.remove(folder / name)
    else:
        (folder / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RecordError) as error:
        run_folder.read(folder)
    assert reason in one_line(error, name)


def test_append_outside_a_run_folder_fails(tmp_path):
    with pytest.raises(RecordError) as error:
        run_folder.append(tmp_path, ROUND, CLIENTS, PRINTS)
    one_line(error, "clients.csv")


def test_a_column_that_is_too_short_is_told_with_its_line(tmp_path):
    (tmp_path / "labels.csv").write_text("client,images\n0,5\n1\n")
    with pytest.raises(RecordError) as error:
        files.read_columns(tmp_path / "labels.csv")
    assert "line 3 has 1 cells, not 2" in one_line(error, "labels.csv")
    (tmp_path / "labels.csv").write_text("client,images\n")
    assert {name: len(column) for name, column in files.read_columns(tmp_path / "labels.csv").items()} == {
        "client": 0,
        "images": 0,
    }
