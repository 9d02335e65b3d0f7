"""The user's cache folder: what was compiled once and need not be again."""

import hashlib
import os
import platform
from pathlib import Path


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
