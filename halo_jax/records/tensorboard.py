"""TensorBoard's event files, written from the rows of rounds.csv without TensorFlow; other trackers are a hook.

`run(config, workdir, on_round=hook)` calls `hook(arm, row)` in process 0 after each round has been recorded; the event
file of an arm is such a hook, too. Weights & Biases:

    import halo_jax as hj
    import wandb
    from halo_jax.records.tensorboard import scalars

    def log(arm, row):
        wandb.log({f"{arm}/{tag}": value for tag, value in scalars(row).items()})

    wandb.init(project="halo", config=config.to_dict())
    hj.run(config, "runs/x", on_round=log)

and MLflow:

    def log(arm, row):
        mlflow.log_metrics(scalars(row), step=row.round)

    with mlflow.start_run():
        hj.run(config, "runs/x", on_round=log)
"""

import importlib.util
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import numpy as np

from halo_jax.config import ConfigError
from halo_jax.records import run_folder
from halo_jax.records.files import errors_of
from halo_jax.records.rows import RoundRecord

FOLDER, EVENT_FILES = "tensorboard", "events.out.tfevents.*"  # in the folder of an arm, and what lies there
OnRound = Callable[[str, RoundRecord], Any]  # told an arm's name and the row of a round that has been recorded


def _tags() -> dict[str, str]:
    """Column -> tag: its group, and its name without that of the group, as in "payload/up_bits"."""
    hints = get_type_hints(RoundRecord, include_extras=True)
    groups = {name: hint.__metadata__[0] for name, hint in hints.items() if get_origin(hint) is Annotated}
    return {name: f"{group}/{name.removeprefix(f'{group}_')}" for name, group in groups.items()}


_TAGS = _tags()


def scalars(row: RoundRecord) -> dict[str, float]:
    """Tag -> number of a round: train/, test/ (if evaluated), hardware/ (means of clients), payload/ and clock/ (sums).

    What is not a number is left out: an empty cell, or the loss of a model that has diverged.
    """
    numbers = {tag: float(getattr(row, name)) for name, tag in _TAGS.items() if getattr(row, name) is not None}
    return {tag: value for tag, value in numbers.items() if not math.isnan(value)}


def check_installed() -> None:
    """Raise ConfigError, one line, where the library is missing that writes event files."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError("tensorboard=True needs tensorboardX: pip install -e '.[tensorboard]'")


class EventFile:
    """The event file of an arm: the rounds that its records hold, written anew, then each round that is added.

    A step is a round. TensorBoard keeps float32, so that a large payload loses its last digits there.
    """

    def __init__(self, folder: Path):
        """Replace what an earlier launch left in `folder`/tensorboard. Raises RecordError."""
        from tensorboardX.event_file_writer import EventsWriter  # an extra of the package; this one has no thread

        self._folder = folder / FOLDER
        rounds = run_folder.read(folder).rounds
        with errors_of(self._folder):
            self._folder.mkdir(exist_ok=True)
            for old in self._folder.glob(EVENT_FILES):
                old.unlink()
            self._writer = EventsWriter(str(self._folder / "events"))
        ended = time.time() - np.cumsum(rounds["seconds"][::-1])[::-1] + rounds["seconds"]  # as if without a break
        for i, wall_time in enumerate(ended.tolist()):
            cells: Any = {name: rounds[name][i] for name in RoundRecord._fields}
            self._add(RoundRecord(**cells), wall_time)

    def on_round(self, arm: str, row: RoundRecord) -> None:
        """Add a round; it is on disk when this returns. Raises RecordError."""
        self._add(row, time.time())

    def close(self) -> None:
        """Close the file. Raises RecordError."""
        with errors_of(self._folder):
            self._writer.close()

    def _add(self, row: RoundRecord, wall_time: float) -> None:
        from tensorboardX.proto import event_pb2

        event: Any = vars(event_pb2)["Event"](wall_time=wall_time, step=int(row.round))
        for tag, value in scalars(row).items():
            event.summary.value.add(tag=tag, simple_value=value)
        with errors_of(self._folder):
            self._writer.write_event(event)
            self._writer.flush()
