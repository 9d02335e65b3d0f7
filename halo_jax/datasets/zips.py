"""Zip archives of strangers: what a member unfolds to is known before it is read, and so is the list of members."""

import zipfile
from typing import Any, BinaryIO

# zipfile unfolds these piece by piece; of the others it takes whatever comes out of one piece, which may be gigabytes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _Pieces:
    """A file for zipfile, which reads the list of members at once; no more than `most` bytes are read at once."""

    def __init__(self, file: BinaryIO, most: int):
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or to the end. Raises BadZipFile for too many."""
        data = self._file.read(self._most + 1 if size < 0 else min(size, self._most + 1))
        if len(data) > self._most:
            raise zipfile.BadZipFile(f"more than {self._most} bytes in one piece, as is its list of members")
        return data


def open_zip(file: BinaryIO, most: int) -> zipfile.ZipFile:
    """Open the archive in a file, of which no piece of more than `most` bytes is read at once.

    Raises what zipfile raises: a damaged archive may raise anything.
    """
    pieces: Any = _Pieces(file, most)
    return zipfile.ZipFile(pieces)


def open_member(archive: zipfile.ZipFile, name: str, most: int) -> BinaryIO:
    """A member that unfolds to at most `most` bytes, as a file; more than `most` are not to be asked for at once.

    Raises KeyError if there is none, BadZipFile for one that is not read, or what zipfile raises.
    """
    info = archive.getinfo(name)
    if info.compress_type not in _METHODS:
        raise zipfile.BadZipFile("compressed in another way than stored or deflated")
    if info.file_size > most:
        raise zipfile.BadZipFile(f"{info.file_size} bytes, more than the {most} that are read of it")
    opened: Any = archive.open(info)
    return opened
