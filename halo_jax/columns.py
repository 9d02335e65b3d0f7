"""Cells of a CSV file as typed columns, and what is wrong where a cell is none of its type."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
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


# By the name or the type of a field: how a cell is read, the column's dtype, and what is right.
_CELLS: dict[Any, tuple[Callable[[str], Any], Any, str]] = {
    int: (lambda cell: np.int64(int(cell)), np.int64, "a whole number"),
    "constraint": (lambda cell: Constraint[cell.upper()].name.lower(), np.str_, "none, energy, latency or area"),
    "fingerprint": (_fingerprint, np.str_, "16 hexadecimal digits"),
    str: (_text, np.str_, "a printable text"),
    float: (lambda cell: float(cell or "nan"), np.float64, "a number"),
}


def typed(name: str, kind: Any, cells: list[str]) -> np.ndarray:
    """The cells as an array. ValueError names one that is wrong."""
    convert, dtype, right = _CELLS.get(name) or _CELLS.get(kind, _CELLS[float])
    values = []
    for line, cell in enumerate(cells, start=2):
        try:
            values.append(convert(cell))
        except (ValueError, OverflowError, KeyError):
            raise ValueError(f"line {line}: {name} is {cell!r}; right: {right}") from None
    return np.array(values, dtype)


def cells_of(path: Path, names: tuple[str, ...]) -> list[list[str]]:
    """The cells of every row; what follows the last newline was cut off while it was written."""
    header, *rows = list(csv.reader(path.read_text(encoding="utf-8").split("\n")[:-1])) or [[]]
    if tuple(header) != names:
        raise ValueError(f"the first line is not {','.join(names)}")
    for line, cells in enumerate(rows, start=2):
        if len(cells) != len(names):
            raise ValueError(f"line {line} has {len(cells)} cells, not {len(names)}")
    return rows
