"""Which slice of a stacked or fused weight a program takes: `W[3]` and `W[:, 64:128]` are weights of their own."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

UNKNOWN = "[?]"  # a slice at an index that is not known


def slices_taken(eqn: Any, operands: Sequence[np.ndarray | None]) -> list[str]:
    """For each result of an equation, which slice of the first operand it is: "[3]", "[:,0:64]", or "" for all of it.

    Args:
      eqn: an equation of a jaxpr.
      operands: its operands' values; None for one that is not known, which as an index makes the slice UNKNOWN.

    Returns:
      A text for each result, as NumPy writes a slice.
    """
    name, params = eqn.primitive.name, eqn.params
    sizes = getattr(eqn.invars[0].aval, "shape", ()) if eqn.invars else ()
    if name == "slice":
        return [_slice(sizes, params["start_indices"], params["limit_indices"], params["strides"])]
    if name in ("split", "unstack"):
        cuts = np.cumsum([0, *params.get("sizes", [1] * len(eqn.outvars))])
        axis = np.arange(len(sizes)) == params["axis"]
        return [_slice(sizes, axis * start, np.where(axis, end, sizes)) for start, end in pairwise(cuts)]
    indices = operands[1:]
    if name == "dynamic_slice" and not any(index is None for index in indices):
        starts = np.clip(np.array(indices, int), 0, np.subtract(sizes, params["slice_sizes"]))
        return [_slice(sizes, starts, starts + params["slice_sizes"])]
    if name == "gather" and (places := operands[1]) is not None:
        return [f"[{','.join(map(str, places.ravel()))}]"]
    return [UNKNOWN if name in ("dynamic_slice", "gather") else ""] * len(eqn.outvars)


def _slice(sizes: Any, starts: Any, limits: Any, strides: Any = None) -> str:
    """What NumPy writes for the slice from `starts` to `limits` of an array of these sizes."""
    axes = []
    for size, start, limit, stride in zip(sizes, starts, limits, strides or [1] * len(sizes), strict=True):
        span = f"{start}:{limit}" if stride == 1 else f"{start}:{limit}:{stride}"
        axes.append(":" if limit - start == size and stride == 1 else str(start) if limit - start == 1 else span)
    while axes and axes[-1] == ":":
        axes.pop()
    return f"[{','.join(axes)}]" if axes else ""
