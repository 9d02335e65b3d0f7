"""A checkpoint on disk, a folder named after its round: writing one by orbax, and reading it or its model alone back.

`state/` is orbax's, `sha256.json` holds the digests of the state and of every file, which tell whether it is whole.
"""

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from halo_jax.records.digest import tree_sha256
from halo_jax.runtime import safe_files
from halo_jax.runtime.visible import visible

FOLDER = "checkpoints"
_STATE, _DIGESTS = "state", "sha256.json"
_ROUND = re.compile("[1-9][0-9]{0,9}")
_MOST_DIGESTS = _MOST_BESIDE = 2**24  # bytes; more than orbax ever writes beside the arrays

# Where several processes are joined, process 0 alone has checkpoints, and orbax does not wait for the others.
_ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read; one line that names the folder and what helps."""


def is_round(name: str) -> bool:
    """Whether a checkpoint may have that name."""
    return _ROUND.fullmatch(name) is not None


def rounds(folder: Path) -> list[int]:
    """The rounds of the checkpoints in `folder`, the newest first. Raises OSError."""
    return sorted((int(path.name) for path in folder.iterdir() if is_round(path.name)), reverse=True)


def is_checkpoint(path: Path) -> bool:
    """Whether there is a checkpoint, whole or damaged, and nothing else that has its name."""
    return safe_files.is_real_folder(path) and (path / _DIGESTS).is_file()


def write(path: Path, state: Any) -> None:
    """Write `state`, a tree of NumPy arrays, and its digests into an empty folder. Raises what orbax raises."""
    with _checkpointer(ocp.StandardCheckpointHandler) as checkpointer:
        checkpointer.save(path / _STATE, args=ocp.args.StandardSave(state))
    digests = {"state": tree_sha256(state), "files": _file_digests(path)}
    (path / _DIGESTS).write_text(json.dumps(digests, indent=2))


def read(path: Path, like: Any) -> Any:
    """The state that lies in `path`. Raises ValueError, or what orbax raises, unless it is whole.

    Args:
      path: the folder of one checkpoint.
      like: arrays of the same structure, shapes and dtypes; NumPy's come back as such.
    """
    most = _most_bytes(like)
    written_state = _check_files(path, most)
    with _checkpointer(ocp.StandardCheckpointHandler) as checkpointer:
        _check_unfolded(checkpointer.metadata(path / _STATE).item_metadata.tree, most)
        state = checkpointer.restore(path / _STATE, args=ocp.args.StandardRestore(like))
    if tree_sha256(state) != written_state:
        raise ValueError("its state is not the one that was written")
    if _shapes(state) != _shapes(like):
        raise ValueError("its state has other arrays than this run")
    return state


def read_model(path: Path, like: Any) -> Any:
    """The server's model in the state that lies in `path`, NumPy arrays; nothing else of it is unfolded.

    Args:
      path: the folder of one checkpoint.
      like: shapes and dtypes of the model, in its structure.

    Raises:
      ValueError: the checkpoint is not whole, or of another network; else what orbax raises.
    """
    _check_files(path, math.inf)
    path = path.absolute()  # which orbax insists on
    with _checkpointer(ocp.PyTreeCheckpointHandler) as checkpointer:
        saved = checkpointer.metadata(path / _STATE).item_metadata.tree.get("model")
        if _shapes(saved) != _shapes(like):
            raise ValueError("its model has other arrays than this network")
        _check_unfolded(saved, _most_bytes(like))
        wanted = {"model": jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        only_model = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
        return checkpointer.restore(path / _STATE, args=only_model)["model"]


def reason_of(error: Exception) -> str:
    """One short line. What the system says of an OSError stands without its number and path."""
    text = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    text = visible(" ".join(text.split()))
    return text if len(text) < 200 else f"{text[:80]} ... {text[-120:]}"  # a chain of causes ends with the first


def _check_files(path: Path, most: float) -> str:
    """Refuse files that are not what was written, or more than `most` bytes in all; the digest of the state."""
    try:
        digests = json.loads(safe_files.read_bytes(path / _DIGESTS, _MOST_DIGESTS))
        written, written_state = dict(digests["files"]), digests["state"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{_DIGESTS} is missing or not what was written") from error
    found = _file_digests(path, most)
    for name in sorted({*written, *found} - {_DIGESTS}):
        if found.get(name) != written.get(name):
            raise ValueError(f"{name} is {'not what was written' if name in found else 'missing'}")
    return written_state


def _most_bytes(like: Any) -> int:
    """More than a checkpoint of such arrays ever takes, on disk and as it is read."""
    return 2 * sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(like)) + _MOST_BESIDE


def _check_unfolded(saved: Any, most: int) -> None:
    """Refuse what takes more than `most` bytes as it is read: whole chunks, whatever the sizes of their files."""
    arrays = jax.tree.leaves(saved)
    shapes = [[array.shape, array.storage.chunk_shape if array.storage else ()] for array in arrays]
    sizes = (array.dtype.itemsize * max(map(math.prod, own)) for array, own in zip(arrays, shapes, strict=True))
    if (unfolded := sum(sizes)) > most:
        raise ValueError(f"its arrays unfold to {unfolded} bytes, more than this run's can")


def _checkpointer(handler: Any) -> ocp.Checkpointer:
    return ocp.Checkpointer(handler(multiprocessing_options=_ALONE), multiprocessing_options=_ALONE)


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (tuple(leaf.shape), np.dtype(leaf.dtype)), tree)


def _file_digests(folder: Path, most: float = math.inf) -> dict[str, str]:
    """The digest of each file. Raises ValueError for links and pipes, or more than `most` bytes in all."""
    digests = {}
    paths = sorted(path for path in folder.rglob("*") if not safe_files.is_real_folder(path))
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{path.relative_to(folder).as_posix()} is not what was written")
    if (size := sum(path.stat().st_size for path in paths)) > most:
        raise ValueError(f"its files have {size} bytes, more than this run's can")
    for path in paths:
        with open(path, "rb") as file:
            digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
