"""The user's cache folder: what was compiled once and need not be again."""

import hashlib
import os
import platform
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/halo_jax/` (else `~/.cache/halo_jax/`), one folder per kind of CPU.

    Compiled code may use every instruction of its CPU, so machines of different kinds that share a home must not
    share it.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    return Path(home) / "halo_jax" / f"{platform.machine()}-{hashlib.sha256(cpu.encode()).hexdigest()[:8]}"
