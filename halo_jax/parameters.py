"""Parameters: what a value may be, and how an entry of a table declares its own beside its code.

An entry declares a keyword-only parameter by its annotation, default and docstring,

    def topk(*, share: Annotated[float, hj.parameters.real(0, 1, above=True)] = 0.01) -> hj.compressors.Compressor:
        \"\"\"The largest elements of the update.

        Args:
          share: of the numbers that travel.
        \"\"\"

and `config` makes it the field `compressor.topk.share`. A `Literal` of texts needs no kind of its own. What is
annotated in neither way is no field: whoever builds the entry passes it. A field of an experiment that belongs to no
entry stands in `config.fields`.
"""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from halo_jax.types import is_precision

__all__ = [
    "Kind",
    "bits_or_none",
    "boolean",
    "budget",
    "choice",
    "name",
    "numbers",
    "per_client",
    "precision",
    "rates",
    "real",
    "whole",
]

LONGEST_NAME = 100
LONGEST_ARM = 200  # a folder of that name
LONGEST_SWEEP = 2_000  # one entry of a sweep
MOST_ENTRIES = 1_000  # arms, seeds, points of a sweep: all are planned before the first is trained


class Kind(NamedTuple):
    """What a parameter may be, in words and as a check.

    Attributes:
      allowed: completes "allowed: ...".
      fits: whether a value of the right type is allowed.
      compiled: whether programs are compiled for its value; False where it reaches them as data, or not at all.
      one_or_each: whether it has no value, one, or one for each client.
    """

    allowed: str
    fits: Callable[[Any], bool]
    compiled: bool = True
    one_or_each: bool = False


class Field(NamedTuple):
    """One field of an experiment.

    Attributes:
      kind: what is allowed.
      default: its type is the field's.
      reason: why it exists, or what it does, in a few words.
      changes_result: False where equal runs may differ in it.
      compiled: whether programs are compiled for its value; False where it reaches them as data, or not at all.
      of_arm: whether the arms of one experiment may differ in it.
      swept: whether a sweep may vary it.
      of_studies: whether only studies read it.
    """

    kind: Kind
    default: Any
    reason: str
    changes_result: bool = True
    compiled: bool = True
    of_arm: bool = False
    swept: bool = True
    of_studies: bool = False


def whole(low: int, high: int = 2**31 - 1) -> Kind:
    """A whole number from `low` to `high`."""
    return Kind(f"a whole number from {low} to {high}", lambda value: low <= value <= high)


def real(low: float, high: float, *, above: bool = False) -> Kind:
    """A number from `low` to `high`; `above`: not `low` itself."""
    allowed = f"a number {'above' if above else 'from'} {low:g} to {high:g}"
    return Kind(allowed, lambda value: (value > low if above else value >= low) and value <= high)


def boolean() -> Kind:
    """True or false."""
    return Kind("true or false", lambda value: True)


def choice(*options: str) -> Kind:
    """One of `options`."""
    return Kind("one of " + ", ".join(option or "'' (none)" for option in options), lambda value: value in options)


def bits_or_none() -> Kind:
    """Bits of a grid, or 0."""
    return Kind("0, or a whole number from 2 to 8", lambda bits: bits == 0 or 2 <= bits <= 8)


def name(allowed: str) -> Kind:
    """A name that a table knows, or a path."""
    return Kind(allowed, lambda text: len(text) <= LONGEST_NAME and text.isprintable())


def precision() -> Kind:
    """A precision, such as '6-4-8'."""
    return Kind("'bw-ba-be' with 2 to 8 bits each, for example '6-4-8'", lambda text: is_precision(text, 2, 8))


def numbers(allowed: str, fits: Callable[[Any], bool], most: int | None = None) -> Kind:
    """A tuple of which every entry `fits`, with at most so many entries."""

    def all_fit(values: Sequence[Any]) -> bool:
        return (most is None or len(values) <= most) and all(fits(value) for value in values)

    return Kind(allowed if most is None else f"at most {most} {allowed}", all_fit)


def rates() -> Kind:
    """Learning rates, one for each phase of the schedule."""
    allowed = "positive numbers, one for each of schedule.phases"
    return numbers(allowed, lambda rate: is_number(rate) and 1e-30 < rate < 1e30)._replace(compiled=False)


def per_client(empty: str, low: float, high: float) -> Kind:
    """Numbers of clients, from `low` to `high`; `empty` says what none means."""
    allowed = f"numbers from {low:g} to {high:g}: one for all clients, or one for each; empty: {empty}"
    return numbers(allowed, lambda value: is_number(value) and low <= value <= high)._replace(one_or_each=True)


def budget() -> Kind:
    """Absolute limits of a cost."""
    allowed = "numbers from 0: one for all clients, or one for each; 0: no limit; empty: none"
    return numbers(allowed, lambda limit: is_number(limit) and 0 <= limit <= 1e30)._replace(one_or_each=True)


def is_arm(name: Any) -> bool:
    """Whether it may name an arm, and so a folder inside that of its experiment."""
    if not isinstance(name, str) or not 0 < len(name.encode(errors="surrogatepass")) <= LONGEST_ARM:
        return False
    return name.isprintable() and "/" not in name and name not in (".", "..")


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, and no bool."""
    return type(value) in (int, float)


def is_size(number: Any) -> bool:
    """Whether it is a number of pixels or channels."""
    return type(number) is int and 1 <= number <= 4096


def is_round(number: Any) -> bool:
    """Whether it is the number of a round."""
    return type(number) is int and 1 <= number < 2**31


def is_grid(text: str) -> bool:
    """Whether a text names precisions to price: '6-4-4', or for each dimension a list of widths and ranges."""
    dimensions = text.split("-")
    return len(text) <= LONGEST_NAME and len(dimensions) == 3 and all(map(_widths, dimensions))


def grid(text: str) -> tuple[list[int], list[int], list[int]]:
    """The bit widths of weights, activations and errors in a text for which `is_grid` holds, ascending."""
    weights, activations, errors = map(_widths, text.split("-"))
    return weights, activations, errors


def _widths(text: str) -> list[int]:
    """The widths in '8', '2,4,8' or '2..8'; empty if it is none of these, or one is not from 1 to 16."""
    widths: set[int] = set()
    for piece in text.split(","):
        ends = piece.split("..")
        if len(ends) > 2 or not all(re.fullmatch("[1-9]|1[0-6]", end) for end in ends) or int(ends[0]) > int(ends[-1]):
            return []
        widths |= set(range(int(ends[0]), int(ends[-1]) + 1))
    return sorted(widths)


@functools.cache
def declared(entry: Callable[..., Any]) -> dict[str, Field]:
    """The parameters that an entry declares: name -> field, with the reason that its docstring gives.

    Raises:
      ValueError: a parameter has no default, one that is not allowed, or no literal of Python; one line.
    """
    signature, hints, reasons = inspect.signature(entry), _hints(entry), _reasons(entry)
    fields = {}
    for name, parameter in signature.parameters.items():
        kind, default = _kind(hints.get(name)), parameter.default
        if kind is None:
            continue
        if type(default) not in (bool, int, float, str, tuple):
            value = "none" if default is inspect.Parameter.empty else repr(default)
            raise ValueError(f"default of parameter {name}: {value}; allowed: {kind.allowed}")
        if not kind.fits(default):
            raise ValueError(f"default of parameter {name}: {default!r}; allowed: {kind.allowed}")
        fields[name] = Field(kind, default, reasons.get(name, ""), compiled=kind.compiled, of_arm=True)
    return fields


def _kind(hint: Any) -> Kind | None:
    """What an annotation allows; None where it declares no parameter."""
    if get_origin(hint) is Literal and all(isinstance(option, str) for option in get_args(hint)):
        return choice(*get_args(hint))
    kinds = [kind for kind in get_args(hint)[1:] if isinstance(kind, Kind)] if get_origin(hint) is Annotated else []
    return kinds[0] if kinds else None


def _hints(entry: Any) -> dict[str, Any]:
    """The annotations of a function, of a class, or of an object that can be called."""
    is_plain = inspect.isfunction(entry) or inspect.isclass(entry)
    try:
        return get_type_hints(entry if is_plain else type(entry).__call__, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names that only type checkers know, or nothing to look at
        return {}


def _reasons(entry: Any) -> dict[str, str]:
    """What the section `Args:` of a docstring says of each parameter, as one line."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n|\n)*)", f"{inspect.getdoc(entry) or ''}\n", re.M)
    entries = re.findall(r"^ {2}(\w+): (.*(?:\n {4,}.*)*)", section[1], re.M) if section else []
    return {name: " ".join(text.split()) for name, text in entries}
