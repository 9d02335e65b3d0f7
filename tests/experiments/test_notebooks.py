"""Every notebook runs from top to bottom, offline, and what is committed of it fits any machine."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT)})  # raises what a cell raises
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"][-1] > 1
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert not list(tmp_path.iterdir())  # it leaves nothing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_is_small_whole_and_of_no_machine(path):
    text, cells = path.read_text(), nbformat.read(path, as_version=4).cells
    assert len(text) < 300_000
    assert [cell.execution_count for cell in cells if cell.cell_type == "code"] == list(
        range(1, 1 + sum(cell.cell_type == "code" for cell in cells))
    )
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    shown = str([output.get("text", output.get("data", {}).get("text/plain")) for output in outputs])
    assert not [word for word in ("/tmp", "/home", "/root", "/Users", sys.prefix) if word in shown]
