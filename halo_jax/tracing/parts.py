"""Which part of a stacked or fused weight a program takes: `W[3]` and `W[:, 64:128]` are weights of their own.

Where the part depends on a loop counter, the counter has to be known: whole numbers are worked out along the way.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

UNKNOWN = "[?]"
_MOST = 4096  # whole numbers that are followed in one array
_SAME = ("convert_element_type", "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy", "stop_gradient")
_WORKED_OUT = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": lambda a, b: np.sign(a) * np.sign(b) * (np.abs(a) // np.maximum(np.abs(b), 1)),
    "rem": lambda a, b: np.sign(a) * (np.abs(a) % np.maximum(np.abs(b), 1)),
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
    "select_n": lambda which, *cases: np.choose(np.asarray(which, int), cases),
    "clamp": lambda low, value, high: np.clip(value, low, high),
}


def known(value: Any) -> np.ndarray | None:
    """A constant of a program, if it is a few whole numbers."""
    whole = isinstance(value, int) or _is_whole(value)
    return np.asarray(value) if whole and np.size(value) <= _MOST else None


def work_out(eqn: Any, values: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The result of an operation on known whole numbers; None where it is not known, or not a whole number."""
    name, results = eqn.primitive.name, [var.aval for var in eqn.outvars]
    operands = [value for value in values if value is not None]
    if len(results) != 1 or len(operands) < len(values) or not _is_whole(results[0]) or results[0].size > _MOST:
        return None
    (result,) = results
    if name == "iota" and result.ndim == 1:
        return np.arange(result.size, dtype=result.dtype)
    if name in _SAME and operands[0].size in (1, result.size):
        return np.broadcast_to(operands[0].ravel(), (result.size,)).reshape(result.shape).astype(result.dtype)
    with np.errstate(all="ignore"):  # hashes of random numbers wrap around
        return np.asarray(_WORKED_OUT[name](*operands)).astype(result.dtype) if name in _WORKED_OUT else None


def _is_whole(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", None) in ("i", "u", "b")


def parts(eqn: Any, values: Sequence[np.ndarray | None]) -> list[str]:
    """For each result, which part of the first operand it is, such as "[3]" or "[:,0:64]"; "" for all of it.

    Args:
      eqn: an equation of a jaxpr.
      values: its operands, where they are known; an index that is not makes the part UNKNOWN.
    """
    name, params = eqn.primitive.name, eqn.params
    sizes = getattr(eqn.invars[0].aval, "shape", ()) if eqn.invars else ()
    if name == "slice":
        return [_part(sizes, params["start_indices"], params["limit_indices"], params["strides"])]
    if name in ("split", "unstack"):
        cuts = np.cumsum([0, *params.get("sizes", [1] * len(eqn.outvars))])
        axis = np.arange(len(sizes)) == params["axis"]
        return [_part(sizes, axis * start, np.where(axis, end, sizes)) for start, end in pairwise(cuts)]
    if name == "dynamic_slice" and not any(value is None for value in values[1:]):
        starts = np.clip(np.array(values[1:], int), 0, np.subtract(sizes, params["slice_sizes"]))
        return [_part(sizes, starts, starts + params["slice_sizes"])]
    if name == "gather" and values[1] is not None:
        return [f"[{','.join(map(str, values[1].ravel()))}]"]
    return [UNKNOWN if name in ("dynamic_slice", "gather") else ""] * len(eqn.outvars)


def _part(sizes: Any, starts: Any, limits: Any, strides: Any = None) -> str:
    """What numpy writes for the part from `starts` to `limits` of an array of these sizes."""
    axes = []
    for size, start, limit, stride in zip(sizes, starts, limits, strides or [1] * len(sizes), strict=True):
        span = f"{start}:{limit}" if stride == 1 else f"{start}:{limit}:{stride}"
        axes.append(":" if limit - start == size and stride == 1 else str(start) if limit - start == 1 else span)
    while axes and axes[-1] == ":":
        axes.pop()
    return f"[{','.join(axes)}]" if axes else ""
