"""The run folder: the only writer of results, and their reader, whether the run has ended or not.

Whole files are replaced in one step. The rows of a round's clients are written before the round's own row, so
a round that stands in `rounds.csv` is complete. A number reads back to the same bits.
"""

import contextlib
import csv
import io
import itertools
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from halo_jax.config import schema
from halo_jax.records.checks import check_clients, check_labels, check_nesting, check_rounds, check_summary
from halo_jax.records.columns import cells_of, typed
from halo_jax.runtime import safe_files
from halo_jax.runtime.visible import visible

CONFIG, ROUNDS, CLIENTS, SUMMARY = "config.json", "rounds.csv", "clients.csv", "summary.json"
FINGERPRINTS, LABELS = "fingerprints.csv", "labels.csv"
# Of a file; a larger one is refused unread. A million rows of clients, and a config of as many clients.
MOST_BYTES, MOST_JSON_BYTES = 2**28, 2**24
_ADVICE = "put a good copy back, or start anew with --overwrite"


class RecordError(RuntimeError):
    """A file of a run folder cannot be written or read; one line that names the file and what is wrong."""


class RoundRecord(NamedTuple):
    """One row of `rounds.csv`. Bits and costs per sample are means over the cohort; payloads and energy are sums.

    Examples and loss are of who participated. Accuracies are fractions. What nobody trained or tested is None.
    """

    round: int  # from 1
    learning_rate: float
    train_loss: float | None
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
    virtual_seconds: float  # until the slowest client is done, or the deadline
    energy_joule: float  # that the cohort has spent on training
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
    uploads: int  # 1, or 0 where the compressor's gate kept the message back, or it did not participate
    examples: int
    train_loss: float | None  # None where it did not participate
    dead_steps: int  # for how many local steps in a row some layer has learned nothing, and which and why (`health`)
    dead_layer: str
    download_seconds: float  # what the client needs by the virtual clock, also where the deadline cuts it off
    compute_seconds: float  # latency_s x examples x local epochs
    upload_seconds: float
    energy_joule: float  # spent on training, until the deadline at most
    participated: int  # 1, or 0 where it missed the deadline, or its battery could not pay (times are 0)


class FingerprintRecord(NamedTuple):
    """One row of `fingerprints.csv`: the bits of one stage of a round. Where two runs part, these differ first.

    The stages of a round, in order: `broadcast` (the model that clients receive), `precision` (of all clients),
    `update` (what the server receives from each client; of nothing 0) and `aggregate` (the new model).
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
    labels: dict[str, np.ndarray] | None = None  # how many images of each class a client holds; None in older folders

    @property
    def selects(self) -> bool:
        """Whether clients choose their precision; a static arm does not."""
        return self.summary.get("selector", self.config["selector"]["name"]) != "static"


def is_empty_table(path: Path) -> bool:
    """Whether a file is a table without rows, as `create` makes them before the config. Raises OSError."""
    if path.name not in _TABLES:
        return False
    header = csv_text([_TABLES[path.name]._fields]).encode()
    return path.is_file() and path.stat().st_size == len(header) and path.read_bytes() == header


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
        with _errors_of(path):
            safe_files.append(path, csv_text(rows).encode())  # never makes a file without a header


def finish(folder: str | Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json`. A number that is not finite becomes null, as JSON has no word for it."""
    write(Path(folder) / SUMMARY, json.dumps(plain(summary), indent=2) + "\n")


def resume(folder: str | Path, rounds_done: int) -> None:
    """Drop rows after round `rounds_done` and half-written lines. Raises RecordError if a round is gone."""
    for name, kind in _TABLES.items():
        path = Path(folder) / name
        with _errors_of(path, _ADVICE):
            kept = [cells for cells in cells_of(_text_of(path), kind._fields) if int(cells[0]) <= rounds_done]
            found = {int(cells[0]) for cells in kept}
            missing = next(number for number in itertools.count(1) if number not in found)
            if missing <= rounds_done:
                raise ValueError(f"round {missing} is missing; cannot resume after round {rounds_done}")
        write(path, csv_text([kind._fields, *kept]))


def read(folder: str | Path) -> Run:
    """Read a run folder, complete rounds only. Raises RecordError if a file is missing or wrong."""
    folder = Path(folder)
    config = _read_config(folder / CONFIG)
    # In the other order than they are written, since the run may go on meanwhile.
    read_last_first = reversed(_TABLES.items())
    rounds, fingerprints, clients = (_read_table(folder / name, get_type_hints(kind)) for name, kind in read_last_first)
    clients = {name: column[np.isin(clients["round"], rounds["round"])] for name, column in clients.items()}
    summary = read_json(folder / SUMMARY) if (folder / SUMMARY).exists() else {}
    labels = _read_labels(folder / LABELS) if (folder / LABELS).exists() else None
    with _errors_of(folder / SUMMARY, _ADVICE):
        check_summary(summary)
    done, all_of_them = len(rounds["round"]), config["rounds"] if summary.get("finished") else None
    tables = {ROUNDS: rounds, CLIENTS: clients, **({FINGERPRINTS: fingerprints} if all_of_them else {})}
    for name, table in tables.items():
        with _errors_of(folder / name, _ADVICE):
            check_rounds(table, done, all_of_them)
    for name, table in {CLIENTS: clients, **({LABELS: labels} if labels else {})}.items():
        with _errors_of(folder / name, _ADVICE):
            check_clients(table, config["num_clients"])
    return Run(config, rounds, clients, summary, labels)


def write(path: str | Path, data: str | bytes) -> None:
    """Replace a whole file in one step: it then holds `data` or, on RecordError, what it held before."""
    path = Path(path)
    with _errors_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        safe_files.replace(path, data.encode() if isinstance(data, str) else data)


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
        raise RecordError(visible(f"{path}: {reason}") + (advice and f"; {advice}")) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises RecordError, one line, if that is not what the file holds."""
    # A folder is recognised by its config, so that --overwrite needs it, too.
    advice = "put a good copy back, or use another --workdir" if path.name == CONFIG else _ADVICE
    with _errors_of(path, advice):
        value = json.loads(safe_files.read_bytes(path, MOST_JSON_BYTES))
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        check_nesting(value)
        return value


def read_columns(path: str | Path, texts: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Read any CSV with a header: a column of numbers as float64, NaN for an empty cell, any other as text.

    Columns named in `texts` are of text, also where every cell is a number.
    """
    path = Path(path)
    with _errors_of(path):
        names, *rows = csv.reader(_text_of(path).splitlines())
        for line, cells in enumerate(rows, start=2):
            if len(cells) != len(names):
                raise ValueError(f"line {line} has {len(cells)} cells, not {len(names)}")
        columns = {}
        for name, cells in zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True):
            columns[name] = np.array(cells, np.str_)
            with contextlib.suppress(ValueError):
                if name not in texts:
                    columns[name] = np.array([float(cell or "nan") for cell in cells])
        return columns


def _read_table(path: Path, types: Mapping[str, Any]) -> dict[str, np.ndarray]:
    with _errors_of(path, _ADVICE):
        rows = cells_of(_text_of(path), tuple(types))
        return {name: typed(name, kind, [row[i] for row in rows]) for i, (name, kind) in enumerate(types.items())}


def _read_labels(path: Path) -> dict[str, np.ndarray]:
    """Whole numbers in the columns `client`, `images`, `class_0`, `class_1` and so on, a row for each client."""
    with _errors_of(path, _ADVICE):
        names = _text_of(path).partition("\n")[0].split(",")
        right = ["client", "images", *(f"class_{number}" for number in range(len(names) - 2))]
    table = _read_table(path, dict.fromkeys(right, int))
    with _errors_of(path, _ADVICE):
        check_labels(table)
    return table


def _read_config(path: Path) -> dict[str, Any]:
    """The whole and valid config of a run: a field that is younger than the run has its default."""
    recorded = read_json(path)
    with _errors_of(path):
        return json.loads(json.dumps(schema.of_record(recorded).to_dict()))


def _text_of(path: Path) -> str:
    return safe_files.read_bytes(path, MOST_BYTES).decode()
