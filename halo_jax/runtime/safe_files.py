"""Files that a stranger may have prepared: what is read is regular and of a known size, what is written is our own.

A name may be that of a pipe that never ends, of a device, or of a link to a file elsewhere. Reading refuses all but
regular files, and more bytes than the caller is ready for, before a byte is read. Writing makes a draft under a name
that nobody knows beforehand and renames it, which replaces a link and never follows one.
"""

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_DRAFT = re.compile(r"\..+\.[0-9a-f]{16}\.halo_jax-draft", re.DOTALL)


def open_regular(path: str | Path, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file, or a link to one unless `flags` say `os.O_NOFOLLOW`. Raises OSError for any other."""
    # Before, since some devices do something as soon as they are opened; and after, since it may be another by then.
    _check_regular(path, os.stat(path).st_mode)
    # Without O_NONBLOCK the opening of a pipe waits for somebody at its other end.
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "r+b")


def _check_regular(path: str | Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises OSError for any other, before it is read."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most:
            content = file.read(size + 1)  # not `most`: room for so much is made first, for each small file
            content += file.read(most - size) if len(content) > size else b""
            if len(content) <= most:
                return content
    raise OSError(errno.EFBIG, f"larger than the {most} bytes that are read of it", str(path))


def replace(path: Path, data: bytes) -> None:
    """Make a file hold `data`, in one step: a reader sees what it held before, or all of it. Raises OSError.

    A link of that name is replaced, not followed.
    """
    draft = draft_of(path)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def append(path: Path, data: bytes) -> None:
    """Add `data` to a file that is there and is no link. Raises OSError."""
    with open_regular(path, os.O_RDWR | os.O_NOFOLLOW) as file:
        file.seek(0, os.SEEK_END)
        file.write(data)


def draft_of(path: Path) -> Path:
    """A name beside `path` for its draft, which nobody can know beforehand."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.halo_jax-draft")


def is_draft(path: Path) -> bool:
    """Whether a file or folder has the name of a draft, which a launch that was killed has left."""
    return _DRAFT.fullmatch(path.name) is not None


def delete_files(folder: Path, names: Iterable[str]) -> None:
    """Delete the files of these names in a folder, and the folder if nothing else lies there. Raises OSError."""
    if not is_real_folder(folder):
        return
    for name in names:
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def delete_drafts(folder: Path) -> None:
    """Delete the files that `replace` has left in a folder where it was killed. Raises OSError."""
    for path in folder.iterdir() if is_real_folder(folder) else ():
        if is_draft(path) and not path.is_dir():
            path.unlink()


def is_real_folder(path: Path) -> bool:
    """Whether there is a folder of that name, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def delete_tree(path: Path) -> None:
    """Delete a folder with all that is in it, or a file; of a link nothing but the link. Raises OSError."""
    if not is_real_folder(path):
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except RecursionError:
        raise OSError(errno.ELOOP, "folders are nested too deeply to be deleted", str(path)) from None
