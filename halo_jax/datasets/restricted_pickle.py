"""Pickled batches of images, as CIFAR-10's python version has them, read without Python's own unpickler.

A pickle is a program for a machine with a stack. Python's machine calls any function of any package by its name, and
allocates what a few bytes ask for. This one knows only what makes numbers, texts, lists, tuples and dicts, in protocols
1 to 4; the three names that a NumPy array needs stand for records, and the array is made from the record's bytes.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from halo_jax.datasets.base import one_line

_MOST_STEPS = 2**18  # a published batch takes 50,000, one or two for each label and file name


class NotArrays(ValueError):
    """A pickle that is broken or holds something else; one line."""


class _Name(NamedTuple):
    module: str
    name: str


class _Record:
    """What a name in the pickle builds: its arguments, and the state that it is given."""

    def __init__(self, arguments: Any):
        self.arguments = arguments
        self.state: Any = ()


_NAMES = {  # as NumPy 1 and NumPy 2 write them
    _Name("numpy.core.multiarray", "_reconstruct"),
    _Name("numpy._core.multiarray", "_reconstruct"),
    _Name("numpy", "ndarray"),
    _Name("numpy", "dtype"),
}


def read_arrays(raw: bytes) -> dict[bytes | str, Any]:
    """The dict in a pickle, its uint8 arrays as such; keys and texts of Python 2 are bytes.

    Raises NotArrays, one line, for anything else: names of other things, other arrays, other content, a broken pickle.
    """
    try:
        content = _Machine(raw).run()
    except NotArrays:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise NotArrays(f"a broken pickle: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise NotArrays(f"a pickled {type(content).__name__}, no dict")
    return {key: _array(value) if isinstance(value, _Record) else value for key, value in content.items()}


def _array(record: _Record) -> np.ndarray:
    """The array of a record: its state is (version, shape, dtype, Fortran order, bytes)."""
    try:
        _, shape, dtype, fortran, raw = record.state
        if dtype.arguments[0] not in (b"u1", "u1") or fortran or not isinstance(raw, bytes):
            raise NotArrays("an array that is not of bytes in C order")
        if len(shape) > 4 or not all(type(size) is int and 0 <= size <= len(raw) for size in shape):
            raise NotArrays("an array whose shape is none")
        if len(raw) != math.prod(shape):
            raise NotArrays(f"{len(raw)} bytes for an array of {shape}")
        return np.frombuffer(raw, np.uint8).reshape(shape)
    except NotArrays:
        raise
    except Exception as error:
        raise NotArrays("a broken array") from error


class _Machine:
    """Bytes that are read from the start, a stack with marks on it, and what was put aside by number.

    Nothing that it makes is larger than the bytes it came from: a list that is put aside and used again is one list.
    """

    def __init__(self, raw: bytes):
        self.raw, self.at = raw, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.aside: dict[int, Any] = {}

    def run(self) -> Any:
        """What is on top of the stack in the end."""
        for _ in range(_MOST_STEPS):
            if (code := self.take(1)) == b".":
                return self.stack.pop()
            if code not in _STEPS:
                raise NotArrays(f"a broken pickle: it does what no array needs, 0x{code.hex()}")
            _STEPS[code](self)
        raise NotArrays(f"a broken pickle: it takes more than {_MOST_STEPS} steps")

    def take(self, count: int) -> bytes:
        """The next bytes."""
        self.at += count
        if self.at > len(self.raw) or count < 0:
            raise NotArrays("a broken pickle: it is cut off")
        return self.raw[self.at - count : self.at]

    def number(self, size: int, *, signed: bool = False) -> int:
        """The next whole number, of so many bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> str:
        """The text up to the end of the line."""
        end = self.raw.index(b"\n", self.at)
        return self.take(end + 1 - self.at)[:-1].decode()

    def above_mark(self) -> list[Any]:
        """What has been put on the stack since the last mark, taken off."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, count: int) -> tuple[Any, ...]:
        """The topmost things on the stack, taken off."""
        return tuple(reversed([self.stack.pop() for _ in range(count)]))

    def add(self, items: list[Any]) -> None:
        """Lengthen the list on the stack."""
        if type(self.stack[-1]) is not list:
            raise NotArrays("a broken pickle: a list that is none")
        self.stack[-1].extend(items)

    def set(self, items: list[Any] | tuple[Any, ...]) -> None:
        """Give the dict on the stack keys and values. Keys are texts: whole numbers can be made to collide."""
        keys, values = items[::2], items[1::2]
        if type(self.stack[-1]) is not dict or not all(type(key) in (bytes, str) for key in keys):
            raise NotArrays("a broken pickle: a dict that is none, or its keys are no texts")
        self.stack[-1].update(zip(keys, values, strict=True))

    def name(self, module: Any, name: Any) -> None:
        """Put a name on the stack, if it is one of an array."""
        if type(module) is not str or type(name) is not str:
            raise NotArrays("a broken pickle: a name that is no text")
        if (called := _Name(module, name)) not in _NAMES:
            raise NotArrays(f"it names {module}.{name}")
        self.stack.append(called)

    def call(self) -> None:
        """Make the record of a name and its arguments."""
        name, arguments = self.top(2)
        if type(name) is not _Name:
            raise NotArrays("a broken pickle: it calls what is no name")
        self.stack.append(_Record(arguments))

    def build(self) -> None:
        """Give a record its state."""
        record, state = self.top(2)
        if type(record) is not _Record:
            raise NotArrays("a broken pickle: a state of what has none")
        record.state = state
        self.stack.append(record)

    def put(self, place: int) -> None:
        """Put what is on the stack aside too."""
        self.aside[place] = self.stack[-1]


def _push(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


def _bytes(size: int) -> Callable[[_Machine], None]:
    return _push(lambda machine: machine.take(machine.number(size)))


def _text(size: int) -> Callable[[_Machine], None]:
    return _push(lambda machine: machine.take(machine.number(size)).decode())


# By what the documentation of Python's pickletools calls them. The marks lie beside the stack.
_STEPS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": lambda machine: machine.take(1),  # PROTO
    b"\x95": lambda machine: machine.take(8),  # FRAME
    b"(": lambda machine: machine.marks.append(len(machine.stack)),  # MARK
    b"0": lambda machine: machine.stack.pop(),  # POP
    b"N": _push(lambda machine: None),
    b"\x88": _push(lambda machine: True),
    b"\x89": _push(lambda machine: False),
    b"K": _push(lambda machine: machine.number(1)),  # BININT1
    b"M": _push(lambda machine: machine.number(2)),  # BININT2
    b"J": _push(lambda machine: machine.number(4, signed=True)),  # BININT
    b"\x8a": _push(lambda machine: machine.number(machine.number(1), signed=True)),  # LONG1
    b"U": _bytes(1),  # SHORT_BINSTRING
    b"T": _bytes(4),  # BINSTRING
    b"C": _bytes(1),  # SHORT_BINBYTES
    b"B": _bytes(4),  # BINBYTES
    b"\x8c": _text(1),  # SHORT_BINUNICODE
    b"X": _text(4),  # BINUNICODE
    b"]": _push(lambda machine: []),
    b"a": lambda machine: machine.add([machine.stack.pop()]),  # APPEND
    b"e": lambda machine: machine.add(machine.above_mark()),  # APPENDS
    b")": _push(lambda machine: ()),
    b"t": _push(lambda machine: tuple(machine.above_mark())),  # TUPLE
    b"\x85": _push(lambda machine: machine.top(1)),  # TUPLE1
    b"\x86": _push(lambda machine: machine.top(2)),
    b"\x87": _push(lambda machine: machine.top(3)),
    b"}": _push(lambda machine: {}),
    b"s": lambda machine: machine.set(machine.top(2)),  # SETITEM
    b"u": lambda machine: machine.set(machine.above_mark()),  # SETITEMS
    b"c": lambda machine: machine.name(machine.line(), machine.line()),  # GLOBAL
    b"\x93": lambda machine: machine.name(*machine.top(2)),  # STACK_GLOBAL
    b"R": lambda machine: machine.call(),  # REDUCE
    b"b": lambda machine: machine.build(),  # BUILD
    b"q": lambda machine: machine.put(machine.number(1)),  # BINPUT
    b"r": lambda machine: machine.put(machine.number(4)),  # LONG_BINPUT
    b"\x94": lambda machine: machine.put(len(machine.aside)),  # MEMOIZE
    b"h": _push(lambda machine: machine.aside[machine.number(1)]),  # BINGET
    b"j": _push(lambda machine: machine.aside[machine.number(4)]),  # LONG_BINGET
}
