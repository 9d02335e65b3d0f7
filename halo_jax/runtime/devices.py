"""What JAX runs on: the platform, a device per CPU core, and the cache of compiled programs."""

import os
from pathlib import Path

import jax

from halo_jax.runtime.cache import own_cache_folder

_FORCED = "xla_force_host_platform_device_count"  # the flag of XLA that says how many devices a CPU is


class DeviceError(ValueError):
    """The platform that was asked for is not there; one line."""


def choose_devices(platform: str | None, cohort_size: int) -> None:
    """Start JAX on `platform` (None: the fastest there is), on a CPU with a device per core for clients to share.

    A number of CPU devices that JAX was given already (`JAX_NUM_CPU_DEVICES`, `XLA_FLAGS`) stays.
    Has an effect only before JAX's first computation. Raises DeviceError if the platform is not there.
    """
    if jax.config.values["jax_num_cpu_devices"] < 1 and _FORCED not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", min(_cores(), cohort_size))
    try:
        if platform:
            jax.config.update("jax_platforms", platform)
        jax.devices()
    except Exception as error:
        reason = str(error) or f"JAX finds no such device; its support is pip install -e '.[{platform}]'"
        raise DeviceError(f"platform {platform!r} is not available here: {reason}") from error


def _cores() -> int:
    """The cores that this process may use, which a scheduler or `taskset` may have cut down."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_compiled_programs() -> Path | None:
    """Let later processes load what this one compiles; returns the cache folder, or None where there can be none.

    A folder that JAX was given already (`JAX_COMPILATION_CACHE_DIR`) stays, whoever's it is. The user's cache
    folder is done without where it cannot be written or is not the user's alone: the cache saves time, it never
    decides whether a run works.
    """
    given = jax.config.values["jax_compilation_cache_dir"]
    if given:
        return Path(given)
    try:
        folder = own_cache_folder()
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    return folder
