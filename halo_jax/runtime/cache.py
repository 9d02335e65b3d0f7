"""The user's cache folder: what was compiled once and need not be again.

What lies in it is loaded and run as code, so it counts only where nobody else could have put it there. Who may write
in the folder above `halo_jax/` can still exchange that while it is in use; `~/.cache` is the user's own.
"""

import errno
import hashlib
import os
import platform
import stat
from pathlib import Path

from halo_jax.runtime.safe_files import delete_tree


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/halo_jax/` (else `~/.cache/halo_jax/`), one folder per kind of CPU.

    Compiled code may use every instruction of its CPU, so machines of different kinds that share a home must not
    share it. Raises OSError where the user has no home.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if home.startswith("~"):
        raise OSError("no home folder; set XDG_CACHE_HOME")
    try:
        cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    return Path(home) / "halo_jax" / f"{platform.machine()}-{hashlib.sha256(cpu.encode()).hexdigest()[:8]}"


def own_cache_folder() -> Path:
    """`cache_folder()`, made if need be, which only this user can write to. Raises OSError if that can't be had.

    A folder of the user's own that others could write to is made anew: any of them may have filled it. A link or
    another user's folder is refused.
    """
    folder = cache_folder()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    above = folder.parent.stat()  # which may be a link, to a larger disk
    if above.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "not a folder of this user's own", str(folder.parent))
    if others_write(above):
        folder.parent.chmod(0o700)
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "not a folder of this user's own", str(folder))
    if others_write(status):
        delete_tree(folder)
        folder.mkdir(mode=0o700)
    return folder


def others_write(status: os.stat_result) -> bool:
    """Whether anybody but the owner may write to it."""
    return bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
