"""Whole numbers that a program works out without its input: loop counters, and the indices that are made of them.

Which slice of a stacked weight a step of a loop takes depends on its counter; so a trace follows arrays of a few whole
numbers, and nothing else, by value.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

_MOST = 4096  # whole numbers that are followed in one array
_RESHAPES = ("convert_element_type", "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy", "stop_gradient")


def _div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The quotient as `lax.div` has it: cut off towards 0, where Python rounds down."""
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.maximum(np.abs(b), 1))


def _rem(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The remainder of that quotient: of the sign of `a`."""
    return np.sign(a) * (np.abs(a) % np.maximum(np.abs(b), 1))


def _select_n(which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    return np.choose(np.asarray(which, int), cases)


def _clamp(low: np.ndarray, value: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.clip(value, low, high)


_ARITHMETIC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _div,
    "rem": _rem,
    "neg": np.negative,
    "sign": np.sign,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "max": np.maximum,
    "min": np.minimum,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "select_n": _select_n,
    "clamp": _clamp,
}


def integers_of(constant: Any) -> np.ndarray | None:
    """A constant of a program, if it is a few whole numbers."""
    is_known = isinstance(constant, int) or _holds_integers(constant)
    return np.asarray(constant) if is_known and np.size(constant) <= _MOST else None


def work_out(eqn: Any, operands: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The result of an equation of a jaxpr, if it is whole numbers that follow from its operands.

    Args:
      eqn: the equation.
      operands: its operands' values; None for one that is not known.

    Returns:
      The value; None where it is not known, no whole number, or many.
    """
    name, results = eqn.primitive.name, [var.aval for var in eqn.outvars]
    values = [operand for operand in operands if operand is not None]
    if len(results) != 1 or len(values) < len(operands) or not _holds_integers(results[0]) or results[0].size > _MOST:
        return None
    (result,) = results
    if name == "iota" and result.ndim == 1:
        return np.arange(result.size, dtype=result.dtype)
    if name in _RESHAPES and values[0].size in (1, result.size):
        return np.broadcast_to(values[0].ravel(), (result.size,)).reshape(result.shape).astype(result.dtype)
    with np.errstate(all="ignore"):  # hashes of random numbers wrap around
        return np.asarray(_ARITHMETIC[name](*values)).astype(result.dtype) if name in _ARITHMETIC else None


def _holds_integers(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", None) in ("i", "u", "b")
