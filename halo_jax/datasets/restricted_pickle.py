"""Pickled batches of images, as CIFAR-10's python version has them, read without running anything that they name.

A pickle may call any function of any package by name. Here the three names that a NumPy array needs stand for records
of our own, any other name is refused, and the array is made from the record's bytes.
"""

import io
import math
import pickle
from typing import Any

import numpy as np


class NotArrays(ValueError):
    """A pickle that is broken or holds something else; one line."""


class _Record:
    """What a name in the pickle builds: its arguments, and the state that it is given."""

    def __init__(self, *arguments: Any):
        self.arguments = arguments
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


_NAMES = {  # as NumPy 1 and NumPy 2 write them
    ("numpy.core.multiarray", "_reconstruct"): _Record,
    ("numpy._core.multiarray", "_reconstruct"): _Record,
    ("numpy", "ndarray"): _Record,
    ("numpy", "dtype"): _Record,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What a name stands for."""
        if (module_name, global_name) not in _NAMES:
            raise NotArrays(f"it names {module_name}.{global_name}")
        return _NAMES[module_name, global_name]


def read_arrays(raw: bytes) -> dict[bytes, Any]:
    """The dict in a pickle of Python 2, its uint8 arrays as such; keys and texts are bytes.

    Raises NotArrays, one line, for anything else: names of other things, other arrays, other content, a broken pickle.
    """
    try:
        content = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except NotArrays:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise NotArrays(f"a broken pickle: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise NotArrays(f"a pickled {type(content).__name__}, no dict")
    return {key: _array(value) if isinstance(value, _Record) else value for key, value in content.items()}


def _array(record: _Record) -> np.ndarray:
    """The array of a record: its state is (version, shape, dtype, Fortran order, bytes)."""
    try:
        _, shape, dtype, fortran, raw = record.state
        if dtype.arguments[0] not in (b"u1", "u1") or fortran or not isinstance(raw, bytes):
            raise NotArrays("an array that is not of bytes in C order")
        if len(raw) != math.prod(shape):
            raise NotArrays(f"{len(raw)} bytes for an array of {shape}")
        return np.frombuffer(raw, np.uint8).reshape(shape)
    except NotArrays:
        raise
    except Exception as error:
        raise NotArrays("a broken array") from error
