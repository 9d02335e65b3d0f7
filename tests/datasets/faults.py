"""What rows of test_data_faults.py are made of."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path], object]
Rows = dict[str, tuple[str, Make, str]]  # fault: (data set, what is written below data_dir, the line)


def put(name: str, content: bytes | Callable[[], bytes]) -> Make:
    """A file, of content that may be made when it is wanted."""
    return lambda place: (place / name).write_bytes(content if isinstance(content, bytes) else content())


def both(*makes: Make) -> Make:
    return lambda place: [make(place) for make in makes]


def in_place_of(name: str, make: Make) -> Make:
    """Something else of that name, which `make` is called with."""

    def change(place: Path) -> None:
        (place / name).unlink()
        make(place / name)

    return change


def sparse_terabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def a_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # its path may be long
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(here)


# What is no regular file, or a large one, in place of one that is wanted
PLACES: dict[str, tuple[Make, str]] = {
    "a pipe": (os.mkfifo, "not a regular file"),
    "a socket": (a_socket, "not a regular file"),
    "a folder": (Path.mkdir, "Is a directory"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "a sparse terabyte": (sparse_terabyte, r"larger than the \d+ bytes that are read of it"),
}
