"""Files of records: written whole in one step, read as tables and objects, and one line where a file is wrong.

Text and cells are the matter of `columns`, what they mean that of `rows`, and which files there are of `run_folder`.
"""

import contextlib
import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from halo_jax.records import columns
from halo_jax.records.checks import check_nesting
from halo_jax.records.columns import Layout
from halo_jax.runtime import safe_files
from halo_jax.runtime.visible import visible

# Of a file; a larger one is refused unread. A million rows of clients, and a config of as many clients.
MOST_BYTES, MOST_JSON_BYTES = 2**28, 2**24
_LONGEST_LINE = 2**16  # of names of columns
START_ANEW = "put a good copy back, or start anew with --overwrite"


class RecordError(RuntimeError):
    """A file of a run folder cannot be written or read; one line that names the file and what is wrong."""


@contextlib.contextmanager
def errors_of(path: str | Path, advice: str = "") -> Iterator[None]:
    """Raise what goes wrong with a file in the `with` block as RecordError, with its name and what helps."""
    try:
        yield
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise RecordError(visible(f"{path}: {reason}") + (advice and f"; {advice}")) from error


def write(path: str | Path, data: str | bytes) -> None:
    """Replace a whole file in one step: it then holds `data` or, on RecordError, what it held before."""
    path = Path(path)
    with errors_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        safe_files.replace(path, data.encode() if isinstance(data, str) else data)


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as JSON, `plain`; a number that is not finite becomes null. Raises RecordError."""
    write(path, json.dumps(plain(value), indent=2) + "\n")


def plain(value: Any) -> Any:
    """A value as JSON knows it: arrays become lists, float32 its own digits, what is not finite None."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple) or np.ndim(value) > 0:
        return [plain(entry) for entry in value]
    if hasattr(value, "__array__"):
        value = np.asarray(value)[()]
        value = float(str(value)) if isinstance(value, np.floating) else value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_text(path: Path) -> str:
    """The text of a file that is regular and not too large. Raises OSError and ValueError."""
    return safe_files.read_bytes(path, MOST_BYTES).decode()


def read_json(path: Path, advice: str = START_ANEW) -> dict[str, Any]:
    """Read a JSON object. Raises RecordError, one line that ends with `advice`, if that is not what the file holds."""
    with errors_of(path, advice):
        value = json.loads(safe_files.read_bytes(path, MOST_JSON_BYTES))
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        check_nesting(value)
        return value


def read_columns(path: str | Path, texts: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Read any CSV with a header: a column of numbers as float64, NaN for an empty cell, any other as text.

    Columns named in `texts` are of text, also where every cell is a number. Raises RecordError.
    """
    path = Path(path)
    with errors_of(path):
        text = read_text(path)
        names, rows = columns.names_of(text), columns.rows_of(text)
        if not names:
            raise ValueError("no first line with the names of columns")
        cells_of = zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True)
        return {name: np.array(cells, np.str_) if name in texts else columns.guessed(cells) for name, cells in cells_of}


def read_table(path: Path, layout: Layout) -> dict[str, np.ndarray]:
    """The columns that a table of this layout has. Raises RecordError for one that has others, or a wrong cell."""
    with errors_of(path, START_ANEW):
        names, rows = complete_rows(read_text(path), layout)
        return {name: columns.typed(name, layout.kinds[name], [row[i] for row in rows]) for i, name in enumerate(names)}


def complete_rows(text: str, layout: Layout) -> tuple[list[str], list[list[str]]]:
    """The columns and the rows of a table; what follows its last newline was cut off while it was written.

    Raises ValueError for a table of another layout.
    """
    complete = text[: text.rfind("\n") + 1]
    names = columns.names_of(complete)
    columns.check_names(names, layout)
    return names, columns.rows_of(complete)


def first_line(path: Path) -> str:
    """The first line of a table, which names its columns. Raises OSError and ValueError."""
    with safe_files.open_regular(path) as file:
        return file.readline(_LONGEST_LINE).decode()
