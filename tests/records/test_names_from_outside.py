"""Names of folders that somebody else has chosen are data in the terminal, in tables, on pages and in figures."""

import io
import os
import shutil

from rich.console import Console

from halo_jax.records import files
from halo_jax.reporting import compare_runs
from tests.records.test_stranger_folders import made

__all__ = ["made"]  # a fixture


STRANGE = (
    "_x",
    "a$\\frac$",
    "[bold]x",
    "[x]",
    ":smile:",
    "\x1b[2J",
    "two\nlines",
    "=1+1",
    "<script>",
    os.fsdecode(b"\xff"),
)


def test_names_of_folders_are_data_wherever_they_are_shown(made, tmp_path):
    for name in STRANGE:
        shutil.copytree(made / "8-8-8", tmp_path / name / "run")
    text = io.StringIO()
    runs = compare_runs.compare([tmp_path], tmp_path / "report", console=Console(file=text, width=400))
    shown = {"./=1+1/run", "./_x/run", "\\x1b[2J/run", "two\\nlines/run", "\\udcff/run"}
    shown |= {f"{name}/run" for name in STRANGE[1:5]}
    assert shown | {"<script>/run"} == set(runs)
    for name in shown:
        assert name in text.getvalue()
    assert text.getvalue().replace("\n", "").isprintable()
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;/run" in page
    assert set(files.read_columns(tmp_path / "report" / "table.csv")["arm"].tolist()) == set(runs)
