"""What records may hold, whoever made them: all rounds, clients that there are, fields that reports can compute with.

Each check raises ValueError, one line; `run_folder` adds the file and what helps.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Table = Mapping[str, np.ndarray]  # column -> one entry a row

_DEEPEST = 8  # JSON objects and lists, one in the other; a config has 3


def check_nesting(value: Any) -> None:
    """Refuse what is nested deeper than any record, since who walks through one does so by recursion."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [node for node in level if isinstance(node, dict | list)]
        level = [inner for node in level for inner in (node.values() if isinstance(node, dict) else node)]
    if level:
        raise ValueError(f"nested deeper than {_DEEPEST}")


def check_rounds(table: Table, done: int, rounds: int | None) -> None:
    """Refuse a table that has not the rounds from 1 to `done` in order, or of a finished run not all `rounds`.

    A run that goes on may have written a round's clients and not yet the round itself.
    """
    found = list(dict.fromkeys(table["round"].tolist()))
    if rounds is not None and (len(found) != rounds or done != rounds):
        raise ValueError(f"the run is finished, but this is not all of rounds 1 to {rounds}")
    if found[:done] != list(range(1, done + 1)):
        raise ValueError(f"this is not all of rounds 1 to {done}, which rounds.csv has")


def check_clients(table: Table, num_clients: int) -> None:
    """Refuse the number of a client that the experiment does not have."""
    if (most := max(table["client"].tolist(), default=0)) >= num_clients:
        raise ValueError(f"client {most} of num_clients={num_clients}, which count from 0")


def check_labels(table: Table) -> None:
    """Refuse a table of labels without a row for each client, from 0 on, or without classes."""
    clients = table["client"].tolist()
    if not clients or clients != list(range(len(clients))) or len(table) < 3:
        raise ValueError("not a row for each client, from client 0 on, and a column for each class")


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_fraction(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)


def _are_fractions(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_fraction, value))


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _are_versions(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(version, str) for version in value.values())


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "finished": (_is_bool, "true or false"),
    "selector": (_is_text, "a text"),
    "selects": (_is_bool, "true or false"),
    "low_precision": (_is_bool, "true or false"),
    "client_bits": (_is_bool, "true or false"),
    "accuracy": (_is_fraction, "a number from 0 to 1, or null"),
    "top5_accuracy": (_is_fraction, "a number from 0 to 1, or null"),
    "class_accuracy": (_are_fractions, "a list of numbers from 0 to 1, or null for one that is not known"),
    "client_accuracy": (_are_fractions, "a list of numbers from 0 to 1, or null for one that is not known"),
    "model_sha256": (_is_sha256, "64 hexadecimal digits"),
    "versions": (_are_versions, "names of packages and their versions"),
}


def check_summary(summary: Mapping[str, Any]) -> None:
    """Refuse a field that is not what `to_records.summary` writes; a finished run has a `model_sha256`.

    What is missing or unknown besides is of another version, and shown as it is.
    """
    if summary.get("finished") and "model_sha256" not in summary:
        raise ValueError("the run is finished, but model_sha256 is missing")
    for name, (is_right, right) in _FIELDS.items():
        if name in summary and not is_right(summary[name]):
            raise ValueError(f"{name} is {repr(summary[name])[:80]}; right: {right}")
