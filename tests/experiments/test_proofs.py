"""The proofs in short: killed runs, one precision per layer, and the kernels under sanitizers."""

import functools
import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from halo_jax.numerics import native

FOLDER = Path(__file__).parents[2] / "experiments" / "proofs"
sys.path.insert(0, str(FOLDER))  # as it is for a script in that folder

launches, kernels, kills, near_optimum, same_bits = (
    importlib.import_module(name) for name in ("launches", "kernels", "kills", "near_optimum", "same_bits")
)
compiled = pytest.mark.skipif(native.why_not() != "", reason=native.why_not())


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@compiled
def test_the_kernels_are_exact_on_random_shapes_and_the_record_is_of_all(tmp_path, monkeypatch):
    recorded = json.loads((FOLDER / "results" / "kernels.json").read_text())
    assert (recorded["shapes"], recorded["sanitized"]) == (630, 930)
    assert recorded["different"] == recorded["found"] == []
    monkeypatch.setattr(launches, "RESULTS", tmp_path)
    assert kernels.main(["--shapes=30", "--sanitized=0", "--seed=5"]) == 0
    assert json.loads((tmp_path / "kernels.json").read_text())["shapes"] == 30


@compiled
def test_a_kernel_that_is_not_exact_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(launches, "RESULTS", tmp_path)
    right = kernels.whole_numbers.draws
    monkeypatch.setattr(kernels.whole_numbers, "draws", lambda key, count: right(key, count) + 1)
    assert kernels.main(["--shapes=1", "--sanitized=0"]) == 1
    (found,) = json.loads((tmp_path / "kernels.json").read_text())["different"]
    assert found.startswith("uniform16 of Shape(images=(")


@pytest.mark.slow
@compiled
@pytest.mark.skipif(kernels.sanitizer() is None, reason="no libasan")
@pytest.mark.parametrize("room", [32, 0])
def test_sanitizers_find_a_kernel_that_reads_past_its_memory_and_nothing_else(tmp_path, monkeypatch, room):
    sources = tmp_path / "sources"
    shutil.copytree(kernels.SOURCES, sources)
    text = (sources / "image.h").read_text()
    assert "kSlack = 32;" in text
    (sources / "image.h").write_text(text.replace("kSlack = 32;", f"kSlack = {room};"))
    monkeypatch.setattr(launches, "RESULTS", tmp_path)
    monkeypatch.setattr(kernels, "check_sanitized", functools.partial(kernels.check_sanitized, sources=sources))
    assert kernels.main(["--shapes=0", "--sanitized=2"]) == (room == 0)
    found = json.loads((tmp_path / "kernels.json").read_text())["found"]
    assert ["AddressSanitizer" in line for line in found[:1]] == [True] * (room == 0)
