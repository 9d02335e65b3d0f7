"""Matlab 5 files: numbers in structs, and nothing else that such a file may hold.

A file is a header of 128 bytes and elements; an element is its kind, its size and its content, padded to 8 bytes. A
variable is a matrix, often in a zlib stream; a matrix is elements itself: flags, dimensions, a name, and its numbers,
or in a struct the names of its fields and a matrix for each. Each size is known before what it is of is read, and what
is not asked for is passed over. Source: MathWorks, "MAT-File Format", MAT-File Level 5.
"""

import math
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from halo_jax.datasets.unfolded import inflated

_HEADER, _VERSION = 128, b"\0\1IM"  # version 1 of this form, in the order of bytes that all of today's machines have
_PIECE = 2**20
_MOST_BESIDE = 2**26  # bytes of fields that nobody asks for
_MOST_VARIABLES, _MOST_NAMES = 1000, 2**16  # names: bytes of those of a struct's fields
_MATRIX, _COMPRESSED = 14, 15
_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # of elements
_STRUCT, _CLASSES = 2, {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}

Layout = dict[str, Any]  # by name: a layout for a struct, None for an array
Check = Callable[[tuple[int, ...]], object]


def read(file: BinaryIO, layout: Layout, check: Check) -> dict[str, Any]:
    """Read the variables and fields that a layout names.

    Args:
      file: an open Matlab 5 file.
      layout: what is wanted of it.
      check: is called before an array is read, with its shape and the bytes of a number, and may raise.

    Returns:
      Nested dicts of arrays; what is not there is left out.

    Raises:
      ValueError, EOFError, struct.error, zlib.error: it is no Matlab 5 file, is broken, or holds something else than
        the layout says.
    """
    if file.read(_HEADER)[_HEADER - len(_VERSION) :] != _VERSION:
        raise ValueError("no Matlab 5 file; those of version 4 and 7.3 are not read")
    values: dict[str, Any] = {}
    for _ in range(_MOST_VARIABLES):
        if not (tag := file.read(8)):
            break
        kind, size = struct.unpack("<II", tag)
        end = file.tell() + size
        elements = _Elements(inflated(file) if kind == _COMPRESSED else file, check)
        if kind == _COMPRESSED:
            kind, size = elements.pair()
        if kind != _MATRIX:
            raise ValueError("a variable that is none")
        elements.matrix(size, layout, values)
        file.seek(end)
    return values


class _Elements:
    """Elements of a stream; `at` is how many bytes have been read."""

    def __init__(self, stream: Any, check: Check):
        self.stream, self.check, self.at, self.beside = stream, check, 0, 0

    def matrix(self, size: int, layout: Layout, values: dict[str, Any], field: str = "") -> None:
        """Read a variable or field if the layout has its name, else not to its end.

        Args:
          size: of the matrix, in bytes.
          layout: what is wanted of the struct or file that it stands in.
          values: gets the array or dict under its name.
          field: the name that the struct gives it; "" for a variable, which has its own.
        """
        end = self.at + size
        flags, dimensions, name = self.small(8), self.small(128), self.small(_MOST_NAMES).decode()
        name = field or name
        if name not in layout:
            return
        kind = flags[0]
        shape = tuple(np.frombuffer(dimensions, "<i4").tolist())
        if layout[name] is None:
            values[name] = self.array(name, kind, shape)
        elif kind != _STRUCT or math.prod(shape) != 1:
            raise ValueError(f"{name} is not one struct")
        else:
            values[name] = self.fields(layout[name], end)
        if self.at > end:
            raise ValueError(f"{name} is larger than its size")

    def fields(self, layout: Layout, end: int) -> dict[str, Any]:
        """The fields of a struct that reaches to `end`."""
        (length,) = struct.unpack("<i", self.small(4))
        names = self.small(_MOST_NAMES)
        values: dict[str, Any] = {}
        for start in range(0, len(names), max(length, 1)):
            kind, size = self.pair()
            field_end = self.at + size
            if kind != _MATRIX or field_end > end:
                raise ValueError("a field that is none")
            if size:
                self.matrix(size, layout, values, names[start : start + length].partition(b"\0")[0].decode())
            self.pass_over(field_end - self.at)
        return values

    def array(self, name: str, kind: int, shape: tuple[int, ...]) -> np.ndarray:
        """The numbers of a matrix, in the type that it has in Matlab; they may be stored in a smaller one."""
        if kind not in _CLASSES or min(shape, default=0) < 0:
            raise ValueError(f"{name} is no array of numbers")
        count, right = math.prod(shape), np.dtype(_CLASSES[kind])
        self.check((*shape, right.itemsize))
        stored, size, inline = self.tag()
        numbers = np.empty(count, f"<{_KINDS[stored]}" if stored in _KINDS else "V1")
        if stored not in _KINDS or size != numbers.nbytes:
            raise ValueError(f"{name} has {size} bytes of numbers, not those of {shape}")
        raw = numbers.view(np.uint8)
        if inline:
            raw[:] = np.frombuffer(inline, np.uint8)
        elif self.stream.readinto(raw) < size:
            raise EOFError("it is cut off")
        if not inline:
            self.at += size
            self.pass_over(-size % 8)
        return numbers.astype(right, copy=False).reshape(shape, order="F")

    def small(self, most: int) -> bytes:
        """The content of an element of at most `most` bytes."""
        _, size, inline = self.tag()
        if size > most:
            raise ValueError(f"an element of {size} bytes; right: at most {most}")
        content = inline or self.take(size)
        self.pass_over(0 if inline else -size % 8)
        return content

    def tag(self) -> tuple[int, int, bytes]:
        """Kind and size of the next element, and its content if it has up to four bytes and stands in its tag."""
        kind, size = self.pair()
        if not kind >> 16:
            return kind, size, b""
        return kind & 0xFFFF, kind >> 16, struct.pack("<I", size)[: kind >> 16]

    def pair(self) -> tuple[int, int]:
        """Two numbers, as a tag has them."""
        kind, size = struct.unpack("<II", self.take(8))
        return kind, size

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if len(data := self.stream.read(count)) < count:
            raise EOFError("it is cut off")
        self.at += count
        return data

    def pass_over(self, count: int) -> None:
        """Leave out the next bytes."""
        if count < 0:
            raise ValueError("a field that is larger than its size")
        self.beside += count
        if self.beside > _MOST_BESIDE:
            raise ValueError(f"more than {_MOST_BESIDE} bytes beside what is read of it")
        while count:
            count -= len(self.take(min(count, _PIECE)))
