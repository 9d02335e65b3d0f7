"""The files of a folder, or of the archive that such a folder is published as; an archive is never unpacked to disk."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from halo_jax.datasets.base import fault, one_line

_BROKEN = (EOFError, OSError, RuntimeError, NotImplementedError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class Files(NamedTuple):
    """Files by name, relative to the top folder; `path` is that of the folder or archive."""

    path: Path
    load: Callable[[str], bytes]  # raises KeyError or FileNotFoundError for a name that is not there

    def read(self, name: str) -> bytes:
        """The content of a file. Raises DatasetError, one line, if it is missing or broken."""
        try:
            return self.load(name)
        except (KeyError, FileNotFoundError):
            fault(self.path, f"no {name}", "all its files; unpack or fetch it again")
        except _BROKEN as error:
            fault(self.path, f"that {name} cannot be read ({one_line(error)})", "a whole file; fetch it again")

    def read_lines(self, name: str) -> list[list[str]]:
        """The lines of a text file that are not empty, each as its words. Raises DatasetError."""
        try:
            lines = self.read(name).decode().splitlines()
        except UnicodeDecodeError:
            fault(self.path, f"that {name} is no text", "a whole file; fetch it again")
        return [line.split() for line in lines if line.strip()]


def find(place: Path, folder: str, archive: str) -> Files | None:
    """The files of `folder`, of its published `archive` (`.zip` or `.tar.gz`), in `place` or `place` itself, or None.

    Raises DatasetError, one line, for an archive that is broken.
    """
    for path in (place / folder, place):
        if path.name == folder and path.is_dir():
            return _open_folder(path)
    for path in (place / archive, place):
        if path.name == archive and path.is_file():
            return open_archive(path, folder)
    return None


def _open_folder(path: Path) -> Files:
    return Files(path, lambda name: (path / name).read_bytes())


def open_archive(path: Path, folder: str) -> Files:
    """The files of `folder` in a zip, read when they are asked for, or in a tar, read here at one go.

    Raises DatasetError, one line, if it is broken.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        if zipped:
            members = zipfile.ZipFile(path)
            return Files(path, lambda name: members.read(f"{folder}/{name}"))
        loaded = {}
        with tarfile.open(path) as tar:  # gzip cannot be entered in the middle
            for entry in tar:
                if (content := tar.extractfile(entry)) is not None:  # a file, no folder
                    loaded[entry.name.removeprefix("./")] = content.read()
        return Files(path, lambda name: loaded[f"{folder}/{name}"])
    except _BROKEN as error:
        fault(path, f"a broken archive ({one_line(error)})", "a whole one; fetch it again")
