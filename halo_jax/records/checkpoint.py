"""Save and resume a run: the federation's state after a round, by orbax, and what lies in its folder.

A checkpoint (`checkpoint_files`) is complete or absent: it is written under the name of a draft, and renamed. Only
drafts and folders that hold digests are ours to delete; what else has the name of a round is set aside.
"""

import concurrent.futures
import contextlib
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from halo_jax.records import checkpoint_files
from halo_jax.records.checkpoint_files import FOLDER, CheckpointError, is_checkpoint, reason_of
from halo_jax.runtime import safe_files
from halo_jax.runtime.visible import visible

_OVERHEAD = 2**16  # bytes of what orbax writes beside the arrays, about

# What orbax logs with a traceback, it raises, too.
logging.getLogger("absl").addFilter(lambda record: not (record.exc_info and "orbax" in record.pathname))


class Checkpoints:
    """The checkpoints of one run folder, the last `keep` of them; a context manager. Raises CheckpointError.

    `say` is called with a line for the user when a checkpoint is damaged and an older one takes its place.
    A checkpoint is written in the background: the next `save` or `restore`, or the end of the `with` block, waits
    for it and raises what went wrong.
    """

    def __init__(self, folder: str | Path, keep: int = 2, say: Callable[[str], object] = lambda line: None):
        self._folder = (Path(folder) / FOLDER).absolute()
        self._keep, self._say = keep, say
        self._name = visible(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not safe_files.is_real_folder(self._folder):
                raise OSError("it is a link, which is not followed")
            for path in filter(safe_files.is_draft, self._folder.iterdir()):  # of a launch that was killed
                safe_files.delete_tree(path)
        except OSError as error:
            reason = f"cannot open the checkpoints ({reason_of(error)}); right: a folder that can be written"
            raise CheckpointError(f"{self._name}: {reason}") from error
        self._writer = concurrent.futures.ThreadPoolExecutor(1)
        self._writing: concurrent.futures.Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._writer.shutdown()
        if kind is None:  # else that exception tells more
            self._wait()

    def save(self, rounds_done: int, state: Any) -> None:
        """Write the state after `rounds_done` rounds in place of what lies there; the caller may donate it at once."""
        self._wait()
        self._writing = self._writer.submit(self._write, rounds_done, jax.tree.map(np.array, state))

    def restore(self, like: Any) -> tuple[int, Any]:
        """The last whole (rounds done, state), in the structure and dtypes of `like`; (0, `like`) if nothing is saved.

        Raises CheckpointError if there are checkpoints and none is whole; nothing is deleted.
        """
        self._wait()
        damaged = []
        for rounds_done in self._rounds():
            try:
                state = checkpoint_files.read(self._folder / str(rounds_done), jax.tree.map(np.asarray, like))
            except Exception as error:  # orbax raises many kinds
                damaged.append(f"checkpoint {rounds_done} is damaged ({reason_of(error)})")
                continue
            if damaged:
                self._say(f"{self._name}: {', '.join(damaged)}; going on after round {rounds_done}")
            return rounds_done, state
        if damaged:
            advice = "put a good copy back, or start anew with --overwrite"
            raise CheckpointError(f"{self._name}: {', '.join(damaged)}; none is whole: {advice}")
        return 0, like

    def _rounds(self) -> list[int]:
        return checkpoint_files.rounds(self._folder)

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, rounds_done: int, state: Any) -> None:
        path = self._folder / str(rounds_done)
        draft = safe_files.draft_of(path)
        try:
            draft.mkdir()
            _make_sure_of_room(draft, sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
            checkpoint_files.write(draft, state)
            self._clear_away(path)
            draft.rename(path)
            # What is later than this round is damaged: the run would have gone on from there.
            saved = [other for other in self._rounds() if is_checkpoint(self._folder / str(other))]
            kept = [other for other in saved if other <= rounds_done][: self._keep]
            for other in set(saved) - set(kept):
                self._clear_away(self._folder / str(other))
        except Exception as error:  # orbax raises many kinds, for a full disk too
            with contextlib.suppress(OSError):
                safe_files.delete_tree(draft)
            message = f"cannot write checkpoint {rounds_done} ({reason_of(error)}); older ones are kept"
            advice = "make room, and the same command goes on from the last of them"
            raise CheckpointError(f"{self._name}: {message}: {advice}") from error

    def _clear_away(self, path: Path) -> None:
        """Delete a checkpoint; what has its name and is none of ours gets another one."""
        if is_checkpoint(path):
            safe_files.delete_tree(
                path.rename(safe_files.draft_of(path))
            )  # renamed, so that a half-deleted one does not count
        elif path.is_symlink() or path.exists():
            aside = _set_aside(path)
            self._say(f"{self._name}: {path.name} is no checkpoint of this run, and is called {aside.name} now")


def delete(folder: Path) -> None:
    """Delete the checkpoints of a run folder, and set aside what only has the name of one. Raises OSError."""
    own = folder / FOLDER
    for path in sorted(own.iterdir()) if safe_files.is_real_folder(own) else ():
        named = checkpoint_files.is_round(path.name)
        if safe_files.is_draft(path) or (named and is_checkpoint(path)):
            safe_files.delete_tree(path)
        elif named:
            _set_aside(path)
    safe_files.delete_files(own, ())


def _set_aside(path: Path) -> Path:
    """Another name for what has that of a checkpoint and is none."""
    return path.rename(path.with_name(f"{path.name}.set_aside_{secrets.token_hex(4)}"))


def _make_sure_of_room(folder: Path, size: int) -> None:
    """Raise OSError where a disk or quota is too full; orbax's threads would print tracebacks as they fail, late."""
    room = folder / "room"
    with open(room, "wb") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size + _OVERHEAD)
    room.unlink()
