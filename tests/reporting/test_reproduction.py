"""The page of a whole reproduction, from folders that were made up."""

import json
from pathlib import Path

import pytest

from halo_jax.records import files, run_folder
from halo_jax.reporting import reproduction
from halo_jax.reporting.reproduction import Section
from tests.record_fixture import write_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An experiment of two seeds, as far as the page reads it."""
    folder = tmp_path_factory.mktemp("part")
    run = write_run(folder / "seed_0" / "8-8-8", "8-8-8", rounds=2)
    files.write(folder / run_folder.CONFIG, json.dumps({**run.config, "seeds": [0, 1]}))
    files.write(folder / "comparison.csv", "arm,accuracy_percent\n8-8-8,80.25\n")
    files.write(folder / "claims.csv", "row,ours\nHaLo-FL,-36.5\n")
    for path in ("figures/sweep.png", "seed_0/figures/precision_tree.png"):
        files.write(folder / path, b"\x89PNG")
    return folder


def page(parts):
    return reproduction.html("Reproduced", parts, {"device": "cpu"}, [["what", "why"], ["A1", "<because>"]])


def test_the_page_holds_tables_figures_commands_seeds_and_choices(folder):
    text = page([Section("Table II", "What it shows.", "python launch.py --config=x", folder)])
    for piece in ("80.25", "-36.5", "python launch.py --config=x", "seeds 0, 1", "&lt;because&gt;", "What it shows."):
        assert piece in text
    assert text.index("<h3>claims</h3>") < text.index("<h3>comparison</h3>")
    assert text.count("data:image/png") == 2
    assert "http" not in text.replace("http-equiv", "")


def test_what_could_not_run_says_why(folder):
    text = page([Section("Table III", "", "python", folder / "absent", "error: cifar10 is nowhere")])
    assert "<b>Not run:</b> error: cifar10 is nowhere" in text


def test_long_tables_are_cut_with_a_word(tmp_path, folder):
    files.write(tmp_path / run_folder.CONFIG, json.dumps({"seeds": [], "seed": 7}))
    files.write(tmp_path / "tables" / "grid.csv", "n\n" + "".join(f"{i}\n" for i in range(100)))
    text = page([Section("Fig. 1", "", "python", tmp_path)])
    assert "40 more rows" in text
    assert "seeds 7" in text


def test_the_choices_are_those_of_their_page():
    head, *rows = reproduction.choices_of((ROOT / "docs" / "choices.md").read_text())
    assert head == ["what", "default", "other values", "why"]
    assert len(rows) > 40
    assert all(len(row) == len(head) for row in rows)
    assert not any("`" in cell or "](" in cell for row in rows for cell in row)


def test_a_readme_without_choices_is_told():
    with pytest.raises(ValueError, match="no table under"):
        reproduction.choices_of("# Nothing\n")


def test_the_machine_is_what_the_runs_recorded(folder):
    facts = reproduction.machine_facts([folder])
    assert facts["device"] == "cpu"
    assert "jax 0.8.1" in facts["versions"]
    assert facts["commit"] == "0000000"


def test_prose_of_a_docstring_leaves_its_commands_out():
    text = '"""One.\n\n    python launch.py\n\nTwo\nlines.\n"""'.strip('"')
    assert reproduction.about_of(text) == "One. Two lines."
