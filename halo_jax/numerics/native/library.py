"""The compiled library of the kernels: built once on the user's machine, kept in the cache folder beside its digest.

A library is code that runs as the user, so a kept one is loaded only if it is a regular file of the user's own that
nobody else can write to, and its digest fits: the digest tells a damaged file, the owner a foreign one. Both are
checked on the very file that is loaded, by its descriptor. Any other is built anew. What remains: a program of the
same user that writes into the file while it is loaded.
"""

import contextlib
import ctypes
import errno
import hashlib
import importlib.metadata
import os
import subprocess
import tempfile
import time
from pathlib import Path

import jax

from halo_jax.runtime.cache import others_write, own_cache_folder
from halo_jax.runtime.safe_files import delete_tree, is_draft, open_regular, read_bytes, replace

HANDLERS = ("correlate", "weight_gradient", "uniform16")
_FOLDER = Path(__file__).parent
_SOURCES = ("contraction.cc", "threefry.cc", "multiply.h", "winograd.h", "image.h", "codes.h")
_FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC")
_BUILDS = "halo_jax-build-"  # how the names of folders begin that hold an unfinished library
_LONGEST_BUILD_S = 3600


def load(compiler: list[str]) -> ctypes.CDLL:
    """The library, with all its symbols: from the cache folder, or built there; else built for this process alone.

    Raises subprocess.CalledProcessError if the compiler fails, OSError if there is no place to build or load it.
    """
    name, folder, kept = _name(compiler), Path(tempfile.gettempdir()), None
    with contextlib.suppress(OSError):
        kept = own_cache_folder() / name
    if kept is not None and os.access(kept.parent, os.W_OK):
        folder = kept.parent
    _clear(folder)
    if kept is not None:
        with contextlib.suppress(OSError):
            return _kept(kept)
    return _build(compiler, folder, kept)


def _name(compiler: list[str]) -> str:
    """A name for what this compiler makes of these sources."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=True).stdout
    sources = b"".join((_FOLDER / name).read_bytes() for name in _SOURCES)
    headers = importlib.metadata.version("jaxlib").encode()
    recipe = sources + version + headers + repr((compiler, _FLAGS)).encode()
    return f"native-{hashlib.sha256(recipe).hexdigest()[:16]}.so"


def _kept(path: Path) -> ctypes.CDLL:
    """The library of the cache folder. Raises OSError unless it is there, the user's own and as it was written."""
    with open_regular(path, os.O_RDONLY | os.O_NOFOLLOW) as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or others_write(status):
            raise PermissionError(errno.EPERM, "not the user's alone", str(path))
        if hashlib.sha256(file.read()).hexdigest().encode() != read_bytes(_digest_of(path), most=64):
            raise OSError(errno.EIO, "not what was written", str(path))
        opened = Path(f"/proc/self/fd/{file.fileno()}")
        return _complete(opened if opened.exists() else path)  # the latter where there is no /proc


def _complete(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name in ("supported", *HANDLERS):
        if not hasattr(library, name):
            raise OSError(errno.ENOEXEC, f"{name} is not in it", str(path))
    return library


def _build(compiler: list[str], folder: Path, kept: Path | None) -> ctypes.CDLL:
    """Build the library in `folder` and load it; keep it as `kept` if that can be written."""
    with tempfile.TemporaryDirectory(prefix=_BUILDS, dir=folder) as scratch:
        built = Path(scratch) / "native.so"
        units = [str(_FOLDER / name) for name in _SOURCES if name.endswith(".cc")]
        command = [*compiler, *_FLAGS, f"-I{jax.ffi.include_dir()}", *units, "-o", str(built)]
        subprocess.run(command, capture_output=True, check=True)
        library = _complete(built)
        if kept is not None:
            with contextlib.suppress(OSError):
                _keep(built, kept)
        return library


def _keep(built: Path, path: Path) -> None:
    built.chmod(0o600)  # whatever the user's umask lets others do
    replace(_digest_of(path), hashlib.sha256(built.read_bytes()).hexdigest().encode())
    os.replace(built, path)  # at once: several processes may build


def _digest_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _clear(folder: Path) -> None:
    """Delete what builds that were killed have left, but none that may still be running."""
    for path in folder.glob("*"):
        if path.name.startswith(_BUILDS) or is_draft(path):
            with contextlib.suppress(OSError):
                status = path.lstat()
                if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _LONGEST_BUILD_S:
                    delete_tree(path)
