"""One page of a whole reproduction: every table and figure of the folders of its runs, with commands and choices.

Everything is read from what the runs left in their folders, so that the page can be made again without training.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from halo_jax.config.plan import seed_folder
from halo_jax.records import files, run_folder
from halo_jax.records.claim import TABLES
from halo_jax.reporting import html_page

_TABLES = ("claims.csv", "comparison.csv", "table.csv")  # of a training run, the most telling first
_SHOWN = 60  # rows of a table; all are in its file


class Section(NamedTuple):
    """One table or figure of the paper: what it is, how it is made, and where its results lie."""

    title: str
    about: str
    command: str
    folder: Path
    failed: str = ""  # the one line that says why there are no results


def html(title: str, sections: Sequence[Section], machine: Mapping[str, str], choices: Sequence[Sequence[str]]) -> str:
    """The page of a reproduction.

    Args:
      title: what stands at the top.
      sections: what was made, in the order of the page.
      machine: the value of each fact about where it ran, as by `machine_facts`.
      choices: the rows of the table in docs/choices.md, the head first, as by `choices_of`.

    Returns:
      HTML as text; nothing in it refers to another file.

    Raises:
      RecordError: a run folder's records cannot be read.
    """
    contents = "".join(f'<li><a href="#part{i}">{escape(section.title)}</a></li>' for i, section in enumerate(sections))
    body = [f"<h1>{escape(title)}</h1>", f"<ol>{contents}</ol>", html_page.facts({"": machine})]
    for i, section in enumerate(sections):
        body += [f'<h2 id="part{i}">{escape(section.title)}</h2>', *_section_html(section)]
    body += ["<h2>Choices</h2>", html_page.grid(choices[0], choices[1:])]
    return html_page.document(title, body)


def _section_html(section: Section) -> list[str]:
    lines = [f"<p>{escape(section.about)}</p>", f"<pre>{escape(section.command)}</pre>"]
    if section.failed:
        return [*lines, f"<p><b>Not run:</b> {escape(section.failed)}</p>"]
    config = run_folder.recorded_config(section.folder)
    seeds = config["seeds"] or [config["seed"]]
    lines.append(f'<p class="small">seeds {", ".join(map(str, seeds))}; run folder {escape(str(section.folder))}</p>')
    for path in _tables(section.folder):
        columns = files.read_columns(path)
        rows = list(zip(*columns.values(), strict=True))
        lines += [f"<h3>{escape(path.stem.replace('_', ' '))}</h3>", html_page.grid(list(columns), rows[:_SHOWN])]
        if len(rows) > _SHOWN:
            lines.append(f'<p class="small">{len(rows) - _SHOWN} more rows in {escape(str(path))}</p>')
    return lines + [
        html_page.figure(path.stem.replace("_", " "), path.read_bytes()) for path in _figures(section.folder, seeds)
    ]


def _tables(folder: Path) -> list[Path]:
    trained = [folder / name for name in _TABLES if (folder / name).exists()]
    return trained or sorted((folder / TABLES).glob("*.csv"))


def _figures(folder: Path, seeds: Sequence[int]) -> list[Path]:
    """The figures of the folder itself, and those of its first seed: Figs. 4 and 5 are of one run."""
    return [*sorted(folder.glob("figures/*.png")), *sorted(folder.glob(f"{seed_folder(seeds[0])}/figures/*.png"))]


def choices_of(page: str) -> list[list[str]]:
    """The rows of the table under "## Choices", the head first; ValueError if there is none."""
    found = re.search(r"^## Choices$.*?((?:^\|[^\n]*\n)+)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError("no table under '## Choices'")
    head, _, *rows = found[1].splitlines()
    return [[_plain(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in (head, *rows)]


def _plain(cell: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell.replace("`", "")).strip()


def about_of(docstring: str | None) -> str:
    """The first paragraph of an experiment's docstring, and what follows it in prose: no indented commands."""
    paragraphs = re.split(r"\n\s*\n", (docstring or "").strip())
    prose = [text for text in paragraphs if not text.startswith(("    ", "|", "python "))]
    return " ".join(" ".join(text.split()) for text in prose)


def machine_facts(folders: Sequence[Path]) -> dict[str, str]:
    """The device, versions and commit that the runs in these folders recorded; several where they differ."""
    facts: dict[str, dict[str, None]] = {"device": {}, "versions": {}, "commit": {}}
    for path in sorted(path for folder in folders for path in folder.rglob(run_folder.SUMMARY)):
        summary = files.read_json(path)
        versions = ", ".join(f"{name} {version}" for name, version in summary.get("versions", {}).items())
        for name, value in zip(facts, (summary.get("device"), versions, summary.get("git_commit")), strict=True):
            facts[name][str(value)] = None
    return {name: " / ".join(values) for name, values in facts.items() if values}
