"""Records -> one page for a browser: table, figures, configuration, without any link to the outside."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from halo_jax.records.run_folder import Run
from halo_jax.reporting.arm_table import HEADS, LEGEND, Cell, GroupRow, TableRow, cells, groups, table
from halo_jax.reporting.numbers import shown
from halo_jax.reporting.paper_claims import Claim
from halo_jax.reporting.seed_rows import SeedRow
from halo_jax.runtime.visible import visible

STYLE = """
body { max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; color: #1b1f24; background: #fff;
       font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; } .small, figcaption { font-size: .85rem; color: #57606a; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; margin: 1.25rem 0; }
th { text-align: left; font-weight: 600; }
.numbers { width: 100%; font-variant-numeric: tabular-nums; }
.numbers td, .numbers th { padding: .3rem .6rem; border-bottom: 1px solid #d8dee4; vertical-align: top; }
.numbers td, .numbers tr:first-child th + th { text-align: right; } .numbers td { white-space: nowrap; }
.numbers tr:first-child th { border-bottom: 1px solid; } .numbers tr > th:first-child { text-align: left; }
td small { display: block; color: #57606a; }
.facts { font-size: .85rem; } .facts td, .facts th { padding: .15rem 1rem .15rem 0; vertical-align: top; }
.facts td { overflow-wrap: anywhere; font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
figure { margin: 2rem 0; } img { max-width: 100%; height: auto; }
summary { cursor: pointer; font-weight: 600; }
"""


def html(
    title: str,
    runs: Mapping[str, Run],
    figures: Mapping[str, bytes],
    notes: Sequence[str] = (),
    comparison: Sequence[SeedRow] = (),
    caption: str = "",
    claims: Sequence[Claim] = (),
) -> str:
    """The page of one experiment: its table, figures, runs and configuration.

    Args:
      title: what stands at the top.
      runs: the records of each arm, by its name.
      figures: the bytes of a PNG by the caption of each.
      notes: a paragraph each.
      comparison: rows over several seeds, to stand below the table; none for one seed.
      caption: what stands below the comparison.
      claims: the paper's claims beside what was found; none where nobody asked for them.

    Returns:
      HTML as text; nothing in it refers to another file.
    """
    configs = {arm: _flat(run.config) for arm, run in runs.items()}
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_what_was_run(configs))}</p>",
        _html_table(table(runs)),
        f'<p class="small">{escape(LEGEND)} Bold: the best of a column.</p>',
        _html_groups(groups(runs)),
        *_html_claims(claims),
        *(f"<p>{escape(note)}</p>" for note in notes),
        *(_html_comparison(comparison, caption) if comparison else ()),
        *(figure(caption, png) for caption, png in figures.items()),
        "<h2>Runs</h2>",
        facts({arm: _flat(_short(run.summary)) for arm, run in runs.items()}),
        f"<details><summary>Configuration</summary>{facts(configs)}</details>",
    ]
    return document(title, body)


def comparison_html(
    title: str,
    rows: Sequence[SeedRow],
    runs: Mapping[str, Run],
    figures: Mapping[str, bytes],
    caption: str,
    claims: Sequence[Claim] = (),
) -> str:
    """The page of several seeds or points: the comparison, its figures, and every configuration.

    Args:
      title: what stands at the top.
      rows: of the comparison.
      runs: the records of each arm of each seed or point, by "SEED/ARM".
      figures: the bytes of a PNG by the caption of each.
      caption: what stands below the comparison.
      claims: the paper's claims beside what was found; none where nobody asked for them.

    Returns:
      HTML as text; nothing in it refers to another file.
    """
    configs = {name: _flat(run.config) for name, run in runs.items()}
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_what_was_run(configs))}</p>",
        *_html_comparison(rows, caption),
        *_html_claims(claims),
        *(figure(caption, png) for caption, png in figures.items()),
        f"<details><summary>Configuration</summary>{facts(configs)}</details>",
    ]
    return document(title, body)


def _html_comparison(rows: Sequence[SeedRow], caption: str) -> list[str]:
    return [grid([name.replace("_", " ") for name in SeedRow._fields], rows), f'<p class="small">{escape(caption)}</p>']


def _html_claims(claims: Sequence[Claim]) -> list[str]:
    if not claims:
        return []
    heads = [name.replace("_", " ") for name in Claim._fields]
    return ["<h2>Against the paper's Table II: changes from 8-8-8</h2>", grid(heads, claims)]


def grid(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Any table: its first column says what a row is."""
    return _table(head, ([escape(shown(value)) for value in row] for row in rows))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already, below heads that are not."""
    names = "".join(f"<th>{escape(head).replace(chr(10), '<br>')}</th>" for head in heads)
    lines = (f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for name, *cells in rows)
    return f'<div class="wide"><table class="numbers"><tr>{names}</tr>{"".join(lines)}</table></div>'


def document(title: str, body: Sequence[str]) -> str:
    """A page of these pieces."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return "\n".join(["<!doctype html>", f'<html lang="en"><head>{head}</head><body>', *body, "</body></html>\n"])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested fields as one dict of dotted names and printed values."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[visible(prefix + key)] = visible(", ".join(map(str, value)) if isinstance(value, list) else value)
    return flat


def _short(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Without numbers for each class or client, which may be hundreds."""
    return {name: value for name, value in summary.items() if not isinstance(value, list)}


def _what_was_run(configs: Mapping[str, Mapping[str, str]]) -> str:
    def of(field: str) -> str:
        return " / ".join(dict.fromkeys(config[field] for config in configs.values()))

    return (
        f"{of('num_clients')} clients trained {of('model')} on {of('dataset')} for {of('rounds')} rounds "
        f"({of('recipe.name')}, {of('partition.name')} partition, seed {of('seed')}). The network was "
        f"trained at width {of('width')} and priced at width {of('hardware.width')} on {of('hardware.name')} "
        f"({of('hardware.device')}): energy, latency and area are those of the priced network, "
        "for one training sample."
    )


def _html_table(rows: Sequence[TableRow]) -> str:
    every = zip(rows, cells(rows), strict=True)
    return _table(("Arm", *HEADS), ([escape(row.arm), *map(_html_cell, own)] for row, own in every))


def _html_groups(rows: Sequence[GroupRow]) -> str:
    """How well and at what cost an arm that selects serves the clients of each group; nothing without such an arm."""
    if not rows:
        return ""
    heads = ("Arm", "Clients that want", "Clients", "Mean accuracy %", "Worst client %", *HEADS[2:5])
    wants = {row.group: f"low {row.group}" if row.group != "none" else "nothing" for row in rows}
    table = grid(heads, ((row.arm, wants[row.group], *row[2:]) for row in rows))
    note = "A client's accuracy: that of the final model on each class, by the client's own mix of labels."
    return f'<h2>Groups of clients</h2>{table}<p class="small">{note}</p>'


def _html_cell(cell: Cell) -> str:
    text = f"<b>{cell.text}</b>" if cell.best else cell.text
    return f"{text}<small>{cell.change}</small>"


def figure(caption: str, png: bytes) -> str:
    """A picture, inside the page, with its caption."""
    image = (
        f'<img alt="{escape(caption.partition(":")[0])}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    )
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def facts(columns: Mapping[str, Mapping[str, str]]) -> str:
    """A column for each arm and a row for each field; a value on which all arms agree stands once."""
    lines = ["<tr><th></th>" + "".join(f"<th>{escape(arm)}</th>" for arm in columns) + "</tr>"]
    for name in dict.fromkeys(name for facts in columns.values() for name in facts):
        values = [escape(facts.get(name, "-")) for facts in columns.values()]
        shown = f'<td colspan="{len(values)}">{values[0]}</td>'
        if len(set(values)) > 1:
            shown = "".join(f"<td>{value}</td>" for value in values)
        lines.append(f"<tr><th>{escape(name)}</th>{shown}</tr>")
    return f'<div class="wide"><table class="facts">{"".join(lines)}</table></div>'
