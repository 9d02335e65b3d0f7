"""Deflated data read piece by piece: a few bytes may stand for gigabytes, and no more is made than is asked for."""

import io
import zlib
from typing import Any, BinaryIO

_GZIP, _ZLIB = 31, 15  # what zlib calls the two kinds of streams
_PIECE = 2**16  # bytes of a file that are unfolded at a time


def is_gzipped(file: BinaryIO) -> bool:
    """Whether a file is gzipped; the file is at its start before and after."""
    magic = file.read(2)
    file.seek(0)
    return magic == b"\x1f\x8b"


def gunzipped(file: BinaryIO) -> io.BufferedReader:
    """What a gzip file holds, its members one after the other."""
    return io.BufferedReader(_Unfolded(file, _GZIP), _PIECE)


def inflated(file: BinaryIO) -> io.BufferedReader:
    """What a zlib stream holds that starts where the file is."""
    return io.BufferedReader(_Unfolded(file, _ZLIB), _PIECE)


class _Unfolded(io.RawIOBase):
    """Raises zlib.error for a broken stream, EOFError for one that is cut off."""

    def __init__(self, file: BinaryIO, kind: int):
        self._file, self._kind, self._stream = file, kind, zlib.decompressobj(kind)
        self._waiting = b""  # of the file, read and not yet unfolded

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the start of the buffer; 0 at the end of the data."""
        while len(buffer):
            if self._stream.eof and not self._starts_anew():
                return 0
            data = self._waiting or self._file.read(_PIECE)
            made = self._stream.decompress(data, len(buffer))
            self._waiting = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if made:
                buffer[: len(made)] = made
                return len(made)
            if not data and not self._stream.eof:
                raise EOFError("it is cut off")
        return 0

    def _starts_anew(self) -> bool:
        """Whether another gzip member follows; zeros may stand between."""
        self._waiting = self._waiting.lstrip(b"\0")
        while self._kind == _GZIP and not self._waiting and (piece := self._file.read(_PIECE)):
            self._waiting = piece.lstrip(b"\0")
        if self._kind != _GZIP or not self._waiting:
            return False
        self._stream = zlib.decompressobj(_GZIP)
        return True
