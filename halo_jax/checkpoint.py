"""Save and resume a run: the federation's state after a round, by orbax."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

FOLDER = "checkpoints"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read; one line that names the folder and what helps."""


class Checkpoints:
    """The checkpoints of one run folder, the last two kept; a context manager. Raises CheckpointError.

    A checkpoint is complete or absent: orbax writes it under another name and renames it.
    """

    def __init__(self, folder: str | Path, keep: int = 2, say=print):
        self._folder = (Path(folder) / FOLDER).absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True, enable_async_checkpointing=False)
        with self._one_line("open"):
            self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()

    def save(self, rounds_done: int, state: Any) -> None:
        """Write the state after `rounds_done` rounds, unless it is there."""
        with self._one_line("write"):
            if rounds_done != self._manager.latest_step():
                self._manager.save(rounds_done, args=ocp.args.StandardSave(jax.tree.map(np.asarray, state)))

    def restore(self, like: Any) -> tuple[int, Any]:
        """The last saved (rounds done, state), in the structure and dtypes of `like`; (0, `like`) if there is none."""
        with self._one_line("read"):
            rounds_done = self._manager.latest_step()
            if rounds_done is None:
                return 0, like
            target = jax.tree.map(np.asarray, like)
            return rounds_done, self._manager.restore(rounds_done, args=ocp.args.StandardRestore(target))

    @contextlib.contextmanager
    def _one_line(self, verb: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # orbax raises many kinds, for a full disk and for broken files
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{self._folder}: cannot {verb} the checkpoints ({reason}); make room, or start anew with --overwrite"
            ) from error
