"""The proof with damaged run folders in short, and that it would find what it looks for."""

import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "proofs"
sys.path.insert(0, str(FOLDER))  # as it is for a script in that folder

launches, damaged_runs = importlib.import_module("launches"), importlib.import_module("damaged_runs")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(launches, "RESULTS", tmp_path)
    return tmp_path / "damaged_runs.json"


@pytest.mark.slow
def test_damaged_run_folders_are_one_line_or_a_result_and_the_neighbour_stays_as_it_is(results):
    assert damaged_runs.main(["--count=12", "--seed=7"]) == 0
    result = json.loads(results.read_text())
    assert result["faults"] == []
    for came in result["came"].values():
        assert sum(came.values()) == 12
        assert 0 < came["done"] < 12  # some damage is harmless, some is not


def write_beside(config, folder):
    (folder.parent / "neighbour" / "thesis.txt").write_text("gone")


def make_beside(config, folder):
    (folder.parent / "elsewhere").mkdir()


def raise_something(config, folder):
    raise KeyError("what")


def say_two_lines(config, folder):
    raise damaged_runs.RecordError("two\nlines")


@pytest.mark.parametrize("way", [write_beside, make_beside, raise_something, say_two_lines])
def test_what_goes_wrong_is_found(results, monkeypatch, way):
    monkeypatch.setattr(damaged_runs, "make", lambda place: [(place / name).mkdir() for name in FOLDERS])
    monkeypatch.setattr(damaged_runs, "WAYS", {"report": way})
    assert damaged_runs.main(["--count=1"]) == 1
    (fault,) = json.loads(results.read_text())["faults"]
    assert fault.startswith("case 0, report: FAULT: ")


FOLDERS = (*damaged_runs.CONFIGS, "neighbour")


def test_the_recorded_result_is_of_2000_folders_and_no_fault():
    result = json.loads((FOLDER / "results" / "damaged_runs.json").read_text())
    assert (result["folders"], result["faults"]) == (2000, [])
    assert all(sum(came.values()) == 2000 for came in result["came"].values())
