"""The files of a folder, or of the archive that such a folder is published as; an archive is never unpacked to disk.

Whoever reads a file says how large it may be. A folder's files may be links to files elsewhere, as on a larger disk;
what a link in an archive names is not read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from halo_jax.datasets import tar
from halo_jax.datasets.base import MOST_TEXT, fault, one_line
from halo_jax.datasets.zips import open_member, open_zip
from halo_jax.runtime.safe_files import open_regular, read_bytes

_LONGEST_NAME = 100
_MOST_LIST = 2**25  # bytes of a zip's list of members; Tiny ImageNet's has 13 MB


class Files(NamedTuple):
    """Files by name, relative to the top folder; `path` is that of the folder or archive."""

    path: Path
    load: Callable[[str, int], bytes]  # raises KeyError or FileNotFoundError for a name that is not there

    def read(self, name: str, most: int) -> bytes:
        """The content of a file of at most `most` bytes. Raises DatasetError, one line, if it is missing or broken."""
        shown = f"{name:.{_LONGEST_NAME}}"  # so that what is said of it fits into a line
        if "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
            fault(self.path, f"a file named {shown}", "names of files below this place")
        try:
            return self.load(name, most)
        except (KeyError, FileNotFoundError):
            fault(self.path, f"no {shown}", "all its files; unpack or fetch it again")
        except Exception as error:  # a damaged archive may raise anything
            fault(self.path, f"that {shown} cannot be read ({one_line(error)})", "a whole file; fetch it again")

    def read_lines(self, name: str) -> list[list[str]]:
        """The lines of a text file that are not empty, each as its words. Raises DatasetError."""
        try:
            lines = self.read(name, MOST_TEXT).decode().splitlines()
        except UnicodeDecodeError:
            fault(self.path, f"that {name} is no text", "a whole file; fetch it again")
        return [line.split() for line in lines if line.strip()]


def find(place: Path, folder: str, archive: str, wanted: tar.Wanted = tar.NOTHING) -> Files | None:
    """The files of a data set, from its folder or from the archive that it is published as.

    Args:
      place: where to look: the folder or the archive itself, or what holds it.
      folder: the folder's name, also inside of the archive.
      archive: the archive's name: a `.zip` or `.tar.gz`.
      wanted: which members of a tar are read, as it is read in one go.

    Returns:
      The files, of the folder if both are there; None if neither is.

    Raises:
      DatasetError: the archive is broken; one line.
    """
    for path in (place / folder, place):
        if path.name == folder and path.is_dir():
            return _folder(path)
    for path in (place / archive, place):
        if path.name == archive and path.is_file():
            return open_archive(path, folder, wanted)
    return None


def _folder(path: Path) -> Files:
    return Files(path, lambda name, most: read_bytes(path / name, most))


def open_archive(path: Path, folder: str, wanted: tar.Wanted = tar.NOTHING) -> Files:
    """The files of `folder` in a zip, read when they are asked for, or in a tar, where what is `wanted` is read here.

    Raises DatasetError, one line, if it is broken.
    """
    try:
        file = open_regular(path)
        if file.read(2) == b"PK":
            archive = open_zip(file, _MOST_LIST)
            return Files(path, lambda name, most: open_member(archive, f"{folder}/{name}", most).read(most))
        file.seek(0)
        with file:  # gzip cannot be entered in the middle
            loaded = tar.read(file, folder, wanted)
        return Files(path, lambda name, most: loaded[name])
    except Exception as error:  # a damaged archive may raise anything
        fault(path, f"a broken archive ({one_line(error)})", "a whole one; fetch it again")
