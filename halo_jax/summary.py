"""What `summary.json` may hold: the fields that reports compute with, each with what is right for it."""

import re
from collections.abc import Callable, Mapping
from typing import Any


def _is_fraction(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)


def _are_fractions(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_fraction, value))


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _are_versions(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(version, str) for version in value.values())


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "finished": (lambda value: isinstance(value, bool), "true or false"),
    "selector": (lambda value: isinstance(value, str), "a text"),
    "accuracy": (_is_fraction, "a number from 0 to 1, or null"),
    "top5_accuracy": (_is_fraction, "a number from 0 to 1, or null"),
    "class_accuracy": (_are_fractions, "a list of numbers from 0 to 1, or null for one that is not known"),
    "client_accuracy": (_are_fractions, "a list of numbers from 0 to 1, or null for one that is not known"),
    "model_sha256": (_is_sha256, "64 hexadecimal digits"),
    "versions": (_are_versions, "names of packages and their versions"),
}


def check(summary: Mapping[str, Any]) -> None:
    """Raise ValueError, one line, at a field that is not what `results.summary` writes.

    A finished run has a `model_sha256`. What is missing or unknown besides is of another version, and shown as it is.
    """
    if summary.get("finished") and "model_sha256" not in summary:
        raise ValueError("the run is finished, but model_sha256 is missing")
    for name, (is_right, right) in _FIELDS.items():
        if name in summary and not is_right(summary[name]):
            raise ValueError(f"{name} is {repr(summary[name])[:80]}; right: {right}")
