"""The kinds of fields that an experiment has: what each allows, in words and as a check."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

LONGEST_NAME = 100
LONGEST_ARM = 200  # a folder of that name
LONGEST_SWEEP = 2_000  # one entry of a sweep
MOST_ENTRIES = 1_000  # arms, seeds, points of a sweep: all are planned before the first is trained


class Field(NamedTuple):
    """One field of the schema: its default, what is allowed (in words and as a check), and why it exists."""

    default: Any
    allowed: str
    check: Callable[[Any], bool]
    reason: str


def whole(default: int, low: int, reason: str, high: int = 2**31 - 1) -> Field:
    """A whole number from `low` to `high`."""
    return Field(default, f"a whole number from {low} to {high}", lambda value: low <= value <= high, reason)


def bits(reason: str) -> Field:
    """Bits of a grid, or 0."""
    return Field(0, "0, or a whole number from 2 to 8", lambda bits: bits == 0 or 2 <= bits <= 8, reason)


def real(default: float, low: float, high: float, reason: str, *, above: bool = False) -> Field:
    """A number from `low` to `high`; `above`: not `low` itself."""
    allowed = f"a number {'above' if above else 'from'} {low:g} to {high:g}"
    return Field(default, allowed, lambda v: (v > low if above else v >= low) and v <= high, reason)


def boolean(default: bool, reason: str) -> Field:
    """True or false."""
    return Field(default, "true or false", lambda value: True, reason)


def choice(default: str, options: tuple[str, ...], reason: str) -> Field:
    """One of `options`."""
    return Field(
        default,
        "one of " + ", ".join(option or "'' (none)" for option in options),
        lambda value: value in options,
        reason,
    )


def name(default: str, allowed: str, reason: str) -> Field:
    """A name that a table knows, or a path."""
    return Field(default, allowed, lambda name: len(name) <= LONGEST_NAME and name.isprintable(), reason)


def is_arm(name: Any) -> bool:
    """Whether it may name an arm, and so a folder inside that of its experiment."""
    if not isinstance(name, str) or not 0 < len(name.encode(errors="surrogatepass")) <= LONGEST_ARM:
        return False
    return name.isprintable() and "/" not in name and name not in (".", "..")


def is_precision(text: str) -> bool:
    """Whether a text is "bw-ba-be" of 2 to 8 bits each."""
    parts = text.split("-")
    return len(parts) == 3 and all(len(part) == 1 and part in "2345678" for part in parts)


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, and no bool."""
    return type(value) in (int, float)


def is_size(number: Any) -> bool:
    """Whether it is a number of pixels or channels."""
    return type(number) is int and 1 <= number <= 4096


def is_round(number: Any) -> bool:
    """Whether it is the number of a round."""
    return type(number) is int and 1 <= number < 2**31


def precision(default: str, reason: str) -> Field:
    """A precision."""
    return Field(default, "'bw-ba-be' with 2 to 8 bits each, for example '6-4-8'", is_precision, reason)


def numbers(default: tuple, allowed: str, check: Callable[[Any], bool], reason: str, most: int | None = None) -> Field:
    """A tuple of which every entry passes `check`, with at most so many entries."""
    if most is not None:
        allowed = f"at most {most} {allowed}"

    def fits(values: tuple) -> bool:
        return (most is None or len(values) <= most) and all(check(value) for value in values)

    return Field(default, allowed, fits, reason)


def is_grid(text: str) -> bool:
    """Whether a text names precisions to price: '6-4-4', or for each dimension a list of widths and ranges."""
    parts = text.split("-")
    return len(text) <= LONGEST_NAME and len(parts) == 3 and all(_widths(part) for part in parts)


def grid(text: str) -> tuple[list[int], list[int], list[int]]:
    """The bit widths of weights, activations and errors in a text for which `is_grid` holds, ascending."""
    weights, activations, errors = (_widths(part) for part in text.split("-"))
    return weights, activations, errors


def _widths(text: str) -> list[int]:
    """The widths in '8', '2,4,8' or '2..8'; empty if it is none of these, or one is not from 1 to 16."""
    found: set[int] = set()
    for piece in text.split(","):
        ends = piece.split("..")
        if len(ends) > 2 or not all(re.fullmatch("[1-9]|1[0-6]", end) for end in ends) or int(ends[0]) > int(ends[-1]):
            return []
        found |= set(range(int(ends[0]), int(ends[-1]) + 1))
    return sorted(found)


def per_client(empty: str, reason: str, low: float, high: float) -> Field:
    """Numbers of clients, from `low` to `high`; `empty` says what none means."""
    return numbers(
        (),
        f"numbers from {low:g} to {high:g}: one for all clients, or one for each; empty: {empty}",
        lambda value: is_number(value) and low <= value <= high,
        reason,
    )


def budget(metric: str) -> Field:
    """Absolute limits of a metric."""
    return numbers(
        (),
        "numbers from 0: one for all clients, or one for each; 0: no limit; empty: none",
        lambda limit: is_number(limit) and 0 <= limit <= 1e30,
        f"absolute {metric} budget per sample for `exhaustive`",
    )
