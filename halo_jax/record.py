"""The run folder: the only writer of results, and their reader, whether the run has ended or not.

Whole files are replaced in one step. The rows of a round's clients are written before the round's own row, so
a round that stands in `rounds.csv` is complete. A number reads back to the same bits.
"""

import contextlib
import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from halo_jax.types import Constraint

CONFIG, ROUNDS, CLIENTS, SUMMARY = "config.json", "rounds.csv", "clients.csv", "summary.json"
FINGERPRINTS = "fingerprints.csv"
_ADVICE = "put a good copy back, or start anew with --overwrite"


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


class RecordError(RuntimeError):
    """A file of a run folder cannot be written or read; one line that names the file and what is wrong."""


class RoundRecord(NamedTuple):
    """One row of `rounds.csv`: a round after aggregation.

    Bits and costs (per training sample) are means over the cohort; payloads and examples are sums. Accuracies
    are fractions; they and `test_loss` are None, an empty cell, in a round without evaluation.
    """

    round: int  # from 1
    learning_rate: float
    train_loss: float
    test_loss: float | None
    accuracy: float | None
    top5_accuracy: float | None
    weights_bits: float
    activations_bits: float
    errors_bits: float
    energy_mj: float
    latency_s: float
    area_mm2: float
    payload_up_bits: int  # whole bytes, as packed
    payload_up_nominal_bits: int  # by the formula of the compressor's paper
    payload_up_entropy_bits: int  # by an ideal coder that knows how often each code occurs, with its table
    payload_down_bits: int
    payload_down_nominal_bits: int
    payload_down_entropy_bits: int
    uploads: int  # clients whose message travelled; a compressor's gate may keep some back
    examples: int
    seconds: float  # wall time, the only thing in all tables that differs between two equal runs


class ClientRecord(NamedTuple):
    """One row of `clients.csv`: a client of a round's cohort, its costs per training sample."""

    round: int  # from 1
    client: int  # from 0
    constraint: str  # "none", "energy", "latency" or "area"
    weights_bits: float  # whole numbers, or the mean over layers where layers differ
    activations_bits: float
    errors_bits: float
    energy_mj: float
    latency_s: float
    area_mm2: float
    payload_up_bits: int
    payload_up_nominal_bits: int
    payload_up_entropy_bits: int
    payload_down_bits: int
    payload_down_nominal_bits: int
    payload_down_entropy_bits: int
    uploads: int  # 1, or 0 where the compressor's gate kept the message back
    examples: int
    train_loss: float
    dead_steps: int  # for how many local steps in a row some layer has learned nothing, and which and why (`health`)
    dead_layer: str


class FingerprintRecord(NamedTuple):
    """One row of `fingerprints.csv`: the bits of one stage of a round. Where two runs part, these differ first.

    The stages of a round, in order: `broadcast` (the model that clients receive), `precision` (of all clients),
    `update` (what the server receives from each client) and `aggregate` (the new model).
    """

    round: int  # from 1
    stage: str
    client: int | None  # of an update
    fingerprint: str  # 16 hexadecimal digits


_TABLES: dict[str, Any] = {CLIENTS: ClientRecord, FINGERPRINTS: FingerprintRecord, ROUNDS: RoundRecord}  # as written


class Run(NamedTuple):
    """A run folder in memory: a CSV is a dict of columns, one entry a row, NaN for an empty cell."""

    config: dict[str, Any]
    rounds: dict[str, np.ndarray]
    clients: dict[str, np.ndarray]
    summary: dict[str, Any]  # empty until the run has ended

    @property
    def selects(self) -> bool:
        """Whether clients choose their precision; a static arm does not."""
        return self.summary.get("selector", self.config["selector"]["name"]) != "static"


def create(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Make a run folder: its tables without rows, then `config.json`. Raises RecordError if there is one."""
    folder = Path(folder)
    if (folder / CONFIG).exists():
        raise RecordError(f"{folder / CONFIG}: already there; resume this run or choose another folder")
    for name, kind in _TABLES.items():
        write(folder / name, csv_text([kind._fields]))
    write(folder / CONFIG, json.dumps(plain(config), indent=2) + "\n")


def append(
    folder: str | Path, row: RoundRecord, clients: Sequence[ClientRecord], fingerprints: Sequence[FingerprintRecord]
) -> None:
    """Add one round: its clients first, the round itself last. Raises RecordError, as on a full disk."""
    for name, rows in zip(_TABLES, (clients, fingerprints, [row]), strict=True):
        path = Path(folder) / name
        with _errors_of(path), open(path, "r+b") as file:  # never makes a file without a header
            file.seek(0, os.SEEK_END)
            file.write(csv_text(rows).encode())


def finish(folder: str | Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json`. A number that is not finite becomes null, as JSON has no word for it."""
    write(Path(folder) / SUMMARY, json.dumps(plain(summary), indent=2) + "\n")


def resume(folder: str | Path, rounds_done: int) -> None:
    """Drop rows after round `rounds_done` and half-written lines. Raises RecordError if a round is gone."""
    for name, kind in _TABLES.items():
        path = Path(folder) / name
        with _errors_of(path, _ADVICE):
            kept = [cells for cells in _cells(path, kind._fields) if int(cells[0]) <= rounds_done]
            missing = set(range(1, rounds_done + 1)) - {int(cells[0]) for cells in kept}
            if missing:
                raise ValueError(f"round {min(missing)} is missing; cannot resume after round {rounds_done}")
        write(path, csv_text([kind._fields, *kept]))


def read(folder: str | Path) -> Run:
    """Read a run folder, complete rounds only. Raises RecordError if a file is missing or wrong."""
    folder = Path(folder)
    config = read_json(folder / CONFIG)
    rounds = _read_table(folder / ROUNDS, get_type_hints(RoundRecord))
    clients = _read_table(folder / CLIENTS, get_type_hints(ClientRecord))
    fingerprints = _read_table(folder / FINGERPRINTS, get_type_hints(FingerprintRecord))
    complete = np.isin(clients["round"], rounds["round"])
    clients = {name: column[complete] for name, column in clients.items()}
    summary = read_json(folder / SUMMARY) if (folder / SUMMARY).exists() else {}
    if summary.get("finished"):
        numbers = {ROUNDS: rounds["round"], CLIENTS: clients["round"], FINGERPRINTS: fingerprints["round"]}
        _require_all_rounds(folder, numbers, config.get("rounds"))
        if not isinstance(summary.get("model_sha256"), str):
            raise RecordError(f"{folder / SUMMARY}: the run is finished, but model_sha256 is no text; {_ADVICE}")
    return Run(config, rounds, clients, summary)


def _require_all_rounds(folder: Path, numbers: Mapping[str, np.ndarray], rounds: Any) -> None:
    """Raise RecordError unless each table of a finished run has all rounds, in order; only `rounds.csv` has one row."""
    for name, column in numbers.items():
        found = column.tolist() if name == ROUNDS else list(dict.fromkeys(column.tolist()))
        if len(found) != rounds or found != list(range(1, len(found) + 1)):
            wrong = f"the run is finished, but this is not all of rounds 1 to {rounds}"
            raise RecordError(f"{folder / name}: {wrong}; {_ADVICE}")


def write(path: str | Path, data: str | bytes) -> None:
    """Replace a whole file in one step: it then holds `data` or, on RecordError, what it held before."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with _errors_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(data.encode() if isinstance(data, str) else data)
            os.replace(draft, path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def csv_text(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV: None is an empty cell, a float the shortest digits that read back to the same bits."""
    text = io.StringIO()
    cells = (["" if value is None else str(np.asarray(value)[()]) for value in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


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


@contextlib.contextmanager
def _errors_of(path: Path, advice: str = "") -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise RecordError(f"{path}: {reason}" + (advice and f"; {advice}")) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises RecordError, one line, if that is not what the file holds."""
    # A folder is recognised by its config, so that --overwrite needs it, too.
    advice = "put a good copy back, or use another --workdir" if path.name == CONFIG else _ADVICE
    with _errors_of(path, advice):
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        return value


def read_columns(path: str | Path) -> dict[str, np.ndarray]:
    """Read any CSV with a header: a column of numbers as float64, NaN for an empty cell, any other as text."""
    path = Path(path)
    with _errors_of(path):
        names, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        columns = {}
        for name, cells in zip(names, zip(*rows, strict=True), strict=True):
            try:
                columns[name] = np.array([float(cell or "nan") for cell in cells])
            except ValueError:
                columns[name] = np.array(cells)
        return columns


def _read_table(path: Path, types: dict[str, Any]) -> dict[str, np.ndarray]:
    with _errors_of(path, _ADVICE):
        rows = _cells(path, tuple(types))
        return {name: _column(name, kind, [row[i] for row in rows]) for i, (name, kind) in enumerate(types.items())}


def _column(name: str, kind: Any, cells: list[str]) -> np.ndarray:
    """The cells as an array. ValueError names one that is wrong."""
    convert, dtype, right = _CELLS.get(name) or _CELLS.get(kind, _CELLS[float])
    values = []
    for line, cell in enumerate(cells, start=2):
        try:
            values.append(convert(cell))
        except (ValueError, OverflowError, KeyError):
            raise ValueError(f"line {line}: {name} is {cell!r}; right: {right}") from None
    return np.array(values, dtype)


def _cells(path: Path, names: tuple[str, ...]) -> list[list[str]]:
    """The cells of every row; what follows the last newline was cut off while it was written."""
    header, *rows = list(csv.reader(path.read_text(encoding="utf-8").split("\n")[:-1])) or [[]]
    if tuple(header) != names:
        raise ValueError(f"the first line is not {','.join(names)}")
    for line, cells in enumerate(rows, start=2):
        if len(cells) != len(names):
            raise ValueError(f"line {line} has {len(cells)} cells, not {len(names)}")
    return rows
