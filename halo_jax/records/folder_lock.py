"""The lock of a folder: one process at a time works in it, and none that may only read it.

Whoever has a file open can lock it, whatever for, so the lock is a file that only those can open who can write it.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from halo_jax.records.files import RecordError
from halo_jax.runtime.visible import visible

LOCK = ".halo_jax.lock"


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder while the `with` block lasts; the end of a process frees what it holds.

    Raises RecordError, one line, where another process holds it, or the folder cannot be written.
    """
    try:
        descriptor = _take(folder / LOCK)
    except BlockingIOError:
        raise RecordError(f"{visible(folder)}: another launch is running in this folder") from None
    except OSError as error:
        raise RecordError(f"{visible(folder)}: cannot take its lock {LOCK} ({error.strerror or error})") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()
        os.close(descriptor)


def _take(path: Path) -> int:
    while True:
        writers = path.parent.stat().st_mode & 0o222
        try:
            descriptor = _open(path, writers)
        except FileNotFoundError:
            continue  # who held it has deleted it just now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # who held it has deleted it in between, so that this lock is of a file that nobody else sees
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(path: Path, writers: int) -> int:
    """Open the lock for writing: a new one or, after a launch that was killed, the one that lies there."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, writers)
        writers &= os.fstat(descriptor).st_mode  # less the umask
        os.fchmod(descriptor, writers | writers << 1)  # copies of a folder would stop at a file that can't be read
        return descriptor
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise OSError(errno.EINVAL, "it is no file of its own", str(path))
    if status.st_mode & 0o222 & ~writers:  # others could hold it than those who can write to the folder
        path.unlink()
    return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
