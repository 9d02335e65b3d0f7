"""CSV text and columns: rows as text, text as cells, and cells as arrays of their type. Of files it knows nothing."""

import contextlib
import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from halo_jax.types import Constraint

# Means and sums of such numbers, and powers of them, stay finite; of two whole ones within int64.
_MOST_WHOLE, _MOST_REAL = 2**60, 1e30


class Layout(NamedTuple):
    """The columns that a table may have, in their order."""

    kinds: Mapping[str, Any]  # column -> type of its cells: int, float, str, or one of these or None
    required: Collection[str]  # the columns without which it is not this table


def csv_text(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV: None is an empty cell, a float the shortest digits that read back to the same bits."""
    text = io.StringIO()
    cells = (["" if value is None else str(np.asarray(value)[()]) for value in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def names_of(text: str) -> list[str]:
    """The names of the columns: what stands in the first line."""
    return next(csv.reader([text.partition("\n")[0]]), [])


def check_names(written: Sequence[str], layout: Layout) -> None:
    """Raise ValueError unless `written` are columns of the layout in their order, with all that are required."""
    wrong = next(_wrong_names(written, layout), None)
    if wrong:
        raise ValueError(f"the first line is not {','.join(layout.kinds)}: {wrong}")


def _wrong_names(written: Sequence[str], layout: Layout) -> Iterator[str]:
    names = list(layout.kinds)
    for i, name in enumerate(written):
        if name not in names:
            yield f"{name[:80]!r} is unknown"
        elif name in written[:i]:
            yield f"{name} is there twice"
        elif i and names.index(name) < names.index(written[i - 1]):
            yield f"{name} comes after {written[i - 1]}"
    yield from (f"{name} is missing" for name in layout.required if name not in written)


def rows_of(text: str) -> list[list[str]]:
    """The cells of every row below the names. Raises ValueError where a row has not a cell for each of them."""
    lines = csv.reader(io.StringIO(text))
    length, rows = len(next(lines, [])), []
    for line, cells in enumerate(lines, start=2):  # the first that is wrong is the last that is read
        if len(cells) != length:
            raise ValueError(f"line {line} has {len(cells)} cells, not {length}")
        rows.append(cells)
    return rows


def guessed(cells: Sequence[str]) -> np.ndarray:
    """The cells as float64, NaN for an empty one, or as texts where any is no number."""
    with contextlib.suppress(ValueError):
        return np.array([float(cell or "nan") for cell in cells])
    return np.array(cells, np.str_)


def unknown(kind: Any, rows: int) -> np.ndarray:
    """A column of so many rows of which nothing is known: empty texts, or NaN, also where numbers would be whole."""
    return np.full(rows, "") if kind is str else np.full(rows, np.nan)


def number_or_none(number: float) -> float | None:
    """A number, or None for NaN: an empty cell."""
    return None if math.isnan(number) else number


def typed(name: str, kind: Any, cells: Sequence[str]) -> np.ndarray:
    """The cells of a column as an array of its type.

    Args:
      name: of the column; some have cells of a kind of their own.
      kind: the type of its field: int, str, float, or one of these or None.
      cells: from the second line of the file on.

    Returns:
      int64, float64 with NaN for an empty cell, or texts.

    Raises:
      ValueError: a cell is wrong; the message names it, its line and what is right.
    """
    convert, dtype, right = _CELLS.get(name) or _CELLS[kind]
    values = []
    for line, cell in enumerate(cells, start=2):
        try:
            values.append(convert(cell))
        except (ValueError, OverflowError, KeyError):
            raise ValueError(f"line {line}: {name} is {cell[:80]!r}; right: {right}") from None
    return np.array(values, dtype)


def _text(cell: str) -> str:
    if not cell.isprintable():
        raise ValueError
    return cell


def _fingerprint(cell: str) -> str:
    if not re.fullmatch("[0-9a-f]{16}", cell):
        raise ValueError
    return cell


def _constraint(cell: str) -> str:
    return Constraint[cell.upper()].name.lower()


def _whole_number(cell: str) -> np.int64:
    if not 0 <= int(cell) <= _MOST_WHOLE:
        raise ValueError
    return np.int64(cell)


def _number(cell: str) -> float:
    if not 0 <= float(cell) <= _MOST_REAL:
        raise ValueError
    return float(cell)


def _number_or_nothing(cell: str) -> float:
    return float(cell or "nan")


def _fraction(cell: str) -> float:
    number = float(cell or "nan")
    if not (math.isnan(number) or 0 <= number <= 1):
        raise ValueError
    return number


_FRACTION = _fraction, np.float64, "a number from 0 to 1, or nothing"
# By the name or the type of a field: how a cell is read, the column's dtype, and what is right.
_CELLS: dict[Any, tuple[Callable[[str], Any], Any, str]] = {
    int: (_whole_number, np.int64, f"a whole number from 0 to {_MOST_WHOLE}"),
    "constraint": (_constraint, np.str_, "none, energy, latency or area"),
    "fingerprint": (_fingerprint, np.str_, "16 hexadecimal digits"),
    "accuracy": _FRACTION,
    "top5_accuracy": _FRACTION,
    str: (_text, np.str_, "a printable text"),
    float: (_number, np.float64, f"a number from 0 to {_MOST_REAL:g}"),
    float | None: (_number_or_nothing, np.float64, "a number, or nothing"),
    int | None: (_number_or_nothing, np.float64, "a number, or nothing"),
}
