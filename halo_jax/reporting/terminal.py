"""Lines and tables for a person at a terminal: names in them are data, whatever they are made of."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from halo_jax.runtime.visible import visible


def say(console: Console, line: str) -> None:
    """Print one line as it is, however long: no markup, no colours for numbers, no control characters."""
    console.print(Text(visible(line)), soft_wrap=True)


class Column(NamedTuple):
    """The head of a column, in one or more lines; numbers stand right and are never broken, texts left and may be."""

    head: str
    is_number: bool = True


def draw_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str | Text]],
    *,
    title: str = "",
    caption: str = "",
    spaced: bool = False,
    narrow: bool = False,
) -> Table:
    """Draw a table as all of them are drawn; whatever its texts are, they are no markup.

    Args:
      columns: one for each cell of a row.
      rows: the cells, each in one or more lines.
      title: stands above it.
      caption: stands below it.
      spaced: whether rows are apart, as those of several lines should be.
      narrow: whether columns are as near to each other as they can be.
    """
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0 if narrow else 1), show_lines=spaced)
    drawn.title, drawn.title_justify = Text(title, "bold") if title else None, "left"
    drawn.caption, drawn.caption_justify = Text(caption, "table.caption") if caption else None, "left"
    for head, is_number in columns:
        drawn.add_column(Text(head), justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return drawn
