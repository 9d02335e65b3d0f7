"""What is wanted of a tar archive, plain or gzipped: regular files of known names and of at most so many bytes.

A tar is a file after a file, each below a header of 512 bytes. Links, devices, sparse files and the longer headers that
stand before some files are passed over, and so is every file that nobody asks for; nothing is allocated for them.
Source: POSIX.1-2017, "pax", section "ustar Interchange Format".
"""

import re
from collections.abc import Collection
from typing import BinaryIO, NamedTuple

from halo_jax.datasets.unfolded import gunzipped, is_gzipped

_BLOCK = 512
_PIECE = 2**20  # bytes that are passed over at a time
_MOST_BESIDE = 2**26  # bytes beside what is wanted
_REGULAR = b"0\0"
_WITHOUT_CONTENT = b"123456"  # links, devices, folders and pipes
_SPARSE = b"S"  # its header goes on after the first 512 bytes


class Wanted(NamedTuple):
    """Names of files, and how many bytes one may have at most."""

    names: Collection[str]
    most: int


NOTHING = Wanted((), 0)


def read(file: BinaryIO, folder: str, wanted: Wanted) -> dict[str, bytes]:
    """The wanted files of a folder, by name; what is not there is not among them.

    Raises ValueError, EOFError, OSError or zlib.error for what is no tar, is cut off, or holds much beside.
    """
    stream = gunzipped(file) if is_gzipped(file) else file
    found: dict[str, bytes] = {}
    most = allowed = len(wanted.names) * wanted.most + _MOST_BESIDE
    while (header := _take(stream, _BLOCK)).strip(b"\0"):
        path, size, kind = _parsed(header)
        content = 0 if kind in _WITHOUT_CONTENT else -(-size // _BLOCK) * _BLOCK
        allowed -= _BLOCK + content
        if allowed < 0:
            raise ValueError(f"it holds more than {most} bytes")
        name = path.removeprefix("./").removeprefix(f"{folder}/")
        if kind in _REGULAR and path.endswith(f"{folder}/{name}") and name in wanted.names:
            if size > wanted.most:
                raise ValueError(f"{size} bytes of {name}, more than the {wanted.most} that are read of it")
            found[name] = _take(stream, content)[:size]
        else:
            _pass_over(stream, content)
    while allowed > 0 and (rest := stream.read(_PIECE)):  # to where gzip says whether all of it was right
        allowed -= len(rest)
    return found


def _parsed(header: bytes) -> tuple[str, int, bytes]:
    """Path, size and kind of a file. Raises ValueError."""
    blank = header[:148] + b" " * 8 + header[156:]
    if _number(header[148:156]) != sum(blank):
        raise ValueError("a header has another checksum than it says")
    kind = header[156:157]
    if kind == _SPARSE:
        raise ValueError("it holds a sparse file")
    return header[:100].partition(b"\0")[0].decode(errors="replace"), _number(header[124:136]), kind


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise ValueError("a header has a number that is none")
    return int(digits or b"0", 8)


def _take(stream: BinaryIO, count: int) -> bytes:
    if len(data := stream.read(count)) < count:
        raise EOFError("it is cut off")
    return data


def _pass_over(stream: BinaryIO, count: int) -> None:
    while count:
        count -= len(_take(stream, min(count, _PIECE)))
