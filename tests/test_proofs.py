"""The proofs in short: a killed run ends like one left alone; one precision per layer against an integer program."""

import importlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "experiments" / "proofs"
sys.path.insert(0, str(FOLDER))  # as it is for a script in that folder

launches, kills, near_optimum, same_bits = (
    importlib.import_module(name) for name in ("launches", "kills", "near_optimum", "same_bits")
)


def test_a_run_killed_at_random_moments_and_launched_again_ends_like_one_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(launches, "RESULTS", tmp_path)
    monkeypatch.setattr(kills, "FIELDS", {**kills.FIELDS, "arms": "('halo_ps',)", "rounds": 6, "width": 0.1})
    monkeypatch.setattr(kills, "LONGEST_LIFE_S", 1.0)
    assert kills.main(["--kills=1", "--seed=1"]) == 0
    result = json.loads((tmp_path / "kills.json").read_text())
    assert (result["kills"], result["different"]) == (1, [])
    assert result["runs"] >= 1


def test_a_file_that_differs_is_found(tmp_path):
    arm = tmp_path / "halo_ps"
    arm.mkdir()
    for name, text in (("clients.csv", "a"), ("fingerprints.csv", "b"), ("rounds.csv", "round,seconds\n1,0.5\n")):
        (arm / name).write_text(text)
    (arm / "summary.json").write_text('{"model_sha256": "c"}')
    (tmp_path / "table.csv").write_text("d")
    before = launches.contents(tmp_path)
    (arm / "rounds.csv").write_text("round,seconds\n1,0.7\n")
    assert launches.contents(tmp_path) == before
    (arm / "rounds.csv").write_text("round,seconds\n2,0.7\n")
    assert {name for name in before if launches.contents(tmp_path)[name] != before[name]} == {"halo_ps/rounds.csv"}


def test_the_recorded_result_is_of_all_ways_and_they_agree():
    result = json.loads((FOLDER / "results" / "same_bits.json").read_text())
    named = [way["way"] for way in result["ways"]]
    assert named[: len(same_bits.ways([]))] == [way.name for way in same_bits.ways([])]
    assert not any(way["different"] for way in result["ways"])
    assert result["alike_with_another_seed"] == []


def test_the_least_noise_of_an_integer_program_is_found_and_the_record_is_of_all_chips(tmp_path, monkeypatch):
    recorded = json.loads((near_optimum.launches.RESULTS / "near_optimum.json").read_text())
    assert [row["chip"] for row in recorded["chips"]] == [" ".join(chip) for chip in near_optimum.CHIPS]
    assert all(row["missed"] == row["bound_too_high"] == 0 for row in recorded["chips"])
    monkeypatch.setattr(launches, "RESULTS", tmp_path)
    monkeypatch.setattr(near_optimum, "CHIPS", near_optimum.CHIPS[:1])
    assert near_optimum.main(["--count=6"]) == 0
    (row,) = json.loads((tmp_path / "near_optimum.json").read_text())["chips"]
    assert row["problems"] == 6
    assert row["least_noise"] >= 5
