"""Cells of a CSV file as typed columns, and what is wrong where a cell is none of its type."""

import csv
import io
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from halo_jax.types import Constraint


def _text(cell: str) -> str:
    if not cell.isprintable():
        raise ValueError
    return cell


def _fingerprint(cell: str) -> str:
    if not re.fullmatch("[0-9a-f]{16}", cell):
        raise ValueError
    return cell


def _whole(cell: str) -> np.int64:
    if not 0 <= int(cell) <= _MOST_WHOLE:
        raise ValueError
    return np.int64(cell)


def _real(cell: str) -> float:
    if not 0 <= float(cell) <= _MOST_REAL:
        raise ValueError
    return float(cell)


def _fraction(cell: str) -> float:
    number = float(cell or "nan")
    if not (math.isnan(number) or 0 <= number <= 1):
        raise ValueError
    return number


# Means and sums of such numbers, and powers of them, stay finite; of two whole ones within int64.
_MOST_WHOLE, _MOST_REAL = 2**60, 1e30
_FRACTION = _fraction, np.float64, "a number from 0 to 1, or nothing"
# By the name or the type of a field: how a cell is read, the column's dtype, and what is right.
_CELLS: dict[Any, tuple[Callable[[str], Any], Any, str]] = {
    int: (_whole, np.int64, f"a whole number from 0 to {_MOST_WHOLE}"),
    "constraint": (lambda cell: Constraint[cell.upper()].name.lower(), np.str_, "none, energy, latency or area"),
    "fingerprint": (_fingerprint, np.str_, "16 hexadecimal digits"),
    "accuracy": _FRACTION,
    "top5_accuracy": _FRACTION,
    str: (_text, np.str_, "a printable text"),
    float: (_real, np.float64, f"a number from 0 to {_MOST_REAL:g}"),
    float | None: (lambda cell: float(cell or "nan"), np.float64, "a number, or nothing"),
}
_CELLS[int | None] = _CELLS[float | None]


def typed(name: str, kind: Any, cells: list[str]) -> np.ndarray:
    """The cells as an array. ValueError names one that is wrong."""
    convert, dtype, right = _CELLS.get(name) or _CELLS[kind]
    values = []
    for line, cell in enumerate(cells, start=2):
        try:
            values.append(convert(cell))
        except (ValueError, OverflowError, KeyError):
            raise ValueError(f"line {line}: {name} is {cell[:80]!r}; right: {right}") from None
    return np.array(values, dtype)


def cells_of(text: str, names: tuple[str, ...]) -> list[list[str]]:
    """The cells of every row; what follows the last newline was cut off while it was written."""
    lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    if tuple(next(lines, ())) != names:
        raise ValueError(f"the first line is not {','.join(names)}")
    rows = []
    for line, cells in enumerate(lines, start=2):  # the first that is wrong is the last that is read
        if len(cells) != len(names):
            raise ValueError(f"line {line} has {len(cells)} cells, not {len(names)}")
        rows.append(cells)
    return rows
