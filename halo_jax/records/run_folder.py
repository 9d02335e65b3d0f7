"""The run folder: the only writer of results, and their reader, whether the run has ended or not.

The rows of a round's clients are written before the round's own row, so a round that stands in `rounds.csv` is
complete. A number reads back to the same bits.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from halo_jax.config import schema
from halo_jax.records import columns, files
from halo_jax.records.checks import check_clients, check_labels, check_rounds, check_summary
from halo_jax.records.columns import Layout
from halo_jax.records.entry_facts import EntryFacts, facts_of
from halo_jax.records.files import START_ANEW, RecordError, errors_of
from halo_jax.records.rows import KEYS, ClientRecord, FingerprintRecord, RoundRecord
from halo_jax.runtime import safe_files

CONFIG, ROUNDS, CLIENTS, SUMMARY = "config.json", "rounds.csv", "clients.csv", "summary.json"
FINGERPRINTS, LABELS = "fingerprints.csv", "labels.csv"
_TABLES = {  # in the order in which a round is written
    name: Layout(get_type_hints(row), [key for key in KEYS if key in row._fields])
    for name, row in ((CLIENTS, ClientRecord), (FINGERPRINTS, FingerprintRecord), (ROUNDS, RoundRecord))
}


class Run(NamedTuple):
    """A run folder in memory: a CSV is a dict of columns, one entry a row, NaN for an empty cell."""

    config: dict[str, Any]
    rounds: dict[str, np.ndarray]
    clients: dict[str, np.ndarray]
    summary: dict[str, Any]  # empty until the run has ended
    labels: dict[str, np.ndarray] | None = None  # how many images of each class a client holds; None in older folders
    lacks: tuple[str, ...] = ()  # columns younger than the run, as "clients.csv uploads": all NaN, or empty texts

    @property
    def facts(self) -> EntryFacts:
        """What is known of the entries that the run names."""
        return facts_of(self.config, self.summary)

    @property
    def selects(self) -> bool:
        """Whether clients choose their precision; those of an arm of one precision do not."""
        return self.facts.selects


def is_empty_table(path: Path) -> bool:
    """Whether a file is a table without rows, as `create` makes them before the config. Raises OSError."""
    if path.name not in _TABLES:
        return False
    header = columns.csv_text([[*_TABLES[path.name].kinds]]).encode()
    return path.is_file() and path.stat().st_size == len(header) and path.read_bytes() == header


def create(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Make a run folder: its tables without rows, then `config.json`. Raises RecordError if there is one."""
    folder = Path(folder)
    if (folder / CONFIG).exists():
        raise RecordError(f"{folder / CONFIG}: already there; resume this run or choose another folder")
    for name, layout in _TABLES.items():
        files.write(folder / name, columns.csv_text([[*layout.kinds]]))
    files.write_json(folder / CONFIG, config)


def append(
    folder: str | Path, row: RoundRecord, clients: Sequence[ClientRecord], fingerprints: Sequence[FingerprintRecord]
) -> None:
    """Add a round to the tables of a run folder, which `create` has made; it is on disk when this returns.

    Args:
      folder: the run folder.
      row: the round itself, written last.
      clients: a row for each client of its cohort, written first.
      fingerprints: a row for each stage of the round.

    Raises:
      RecordError: a table is not there or cannot be written, as on a full disk.
    """
    for name, rows in zip(_TABLES, (clients, fingerprints, [row]), strict=True):
        path = Path(folder) / name
        with errors_of(path):
            names = columns.names_of(files.first_line(path))  # a run keeps the columns with which it has begun
            columns.check_names(names, _TABLES[name])
            cells = [[getattr(record, column) for column in names] for record in rows]
            safe_files.append(path, columns.csv_text(cells).encode())


def finish(folder: str | Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json`. A number that is not finite becomes null, as JSON has no word for it."""
    files.write_json(Path(folder) / SUMMARY, summary)


def resume(folder: str | Path, rounds_done: int) -> None:
    """Drop rows after round `rounds_done` and half-written lines; the tables keep the columns that they have.

    Raises RecordError if a round is gone.
    """
    for name, layout in _TABLES.items():
        path = Path(folder) / name
        with errors_of(path, START_ANEW):
            names, rows = files.complete_rows(files.read_text(path), layout)
            kept = [cells for cells in rows if int(cells[0]) <= rounds_done]
            recorded = {int(cells[0]) for cells in kept}
            missing = next(number for number in itertools.count(1) if number not in recorded)
            if missing <= rounds_done:
                raise ValueError(f"round {missing} is missing; cannot resume after round {rounds_done}")
        files.write(path, columns.csv_text([names, *kept]))


def read(folder: str | Path) -> Run:
    """Read a run folder, complete rounds only. Raises RecordError if a file is missing or wrong.

    Columns that are younger than the run are empty, and `lacks` names them.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG)
    # In the other order than they are written, since the run may go on meanwhile.
    rounds, fingerprints, clients = (files.read_table(folder / name, _TABLES[name]) for name in reversed(_TABLES))
    lacks = [*_lacks(ROUNDS, rounds), *_lacks(CLIENTS, clients)]
    rounds, clients = _all_columns(ROUNDS, rounds), _all_columns(CLIENTS, clients)
    clients = {name: column[np.isin(clients["round"], rounds["round"])] for name, column in clients.items()}
    summary = files.read_json(folder / SUMMARY) if (folder / SUMMARY).exists() else {}
    labels = _read_labels(folder / LABELS) if (folder / LABELS).exists() else None
    with errors_of(folder / SUMMARY, START_ANEW):
        check_summary(summary)
    done, all_of_them = len(rounds["round"]), config["rounds"] if summary.get("finished") else None
    tables = {ROUNDS: rounds, CLIENTS: clients, **({FINGERPRINTS: fingerprints} if all_of_them else {})}
    for name, table in tables.items():
        with errors_of(folder / name, START_ANEW):
            check_rounds(table, done, all_of_them)
    for name, table in {CLIENTS: clients, **({LABELS: labels} if labels else {})}.items():
        with errors_of(folder / name, START_ANEW):
            check_clients(table, config["num_clients"])
    return Run(config, rounds, clients, summary, labels, tuple(lacks))


def recorded_config(folder: str | Path) -> dict[str, Any]:
    """The config of a run folder as it was written, unchecked. Raises RecordError if it is no JSON object."""
    # A folder is recognised by its config, so that --overwrite needs it, too.
    return files.read_json(Path(folder) / CONFIG, "put a good copy back, or use another --workdir")


def _read_config(path: Path) -> dict[str, Any]:
    """The whole and valid config of a run: a field that is younger than the run has its default."""
    recorded = recorded_config(path.parent)
    with errors_of(path):
        return json.loads(json.dumps(schema.of_record(recorded).to_dict()))


def _lacks(name: str, table: Mapping[str, np.ndarray]) -> list[str]:
    return [f"{name} {column}" for column in _TABLES[name].kinds if column not in table]


def _all_columns(name: str, table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A table with a column of unknown cells in place of each that it lacks."""
    rows = len(table["round"])
    return {column: table.get(column, columns.unknown(kind, rows)) for column, kind in _TABLES[name].kinds.items()}


def _read_labels(path: Path) -> dict[str, np.ndarray]:
    """Whole numbers in the columns `client`, `images`, `class_0`, `class_1` and so on, a row for each client."""
    with errors_of(path, START_ANEW):
        names = columns.names_of(files.read_text(path))
        right = ["client", "images", *(f"class_{number}" for number in range(len(names) - 2))]
    table = files.read_table(path, Layout(dict.fromkeys(right, int), right))
    with errors_of(path, START_ANEW):
        check_labels(table)
    return table
