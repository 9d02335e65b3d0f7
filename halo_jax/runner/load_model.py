"""`hj.load`: a trained model from the folder of an arm, or from the file that `TrainedModel.save` has written."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from halo_jax.config import Config, ConfigError, plan, schema, show
from halo_jax.models import MODELS
from halo_jax.recipes import RECIPES
from halo_jax.records import checkpoint_files, files, model_file, model_record, run_folder
from halo_jax.records.checkpoint_files import CheckpointError, reason_of
from halo_jax.records.model_record import ModelRecord
from halo_jax.runner.build_network import shapes_of_model
from halo_jax.runner.lookup import make_recipe, require_known
from halo_jax.runner.trained_model import TrainedModel, trained_model, unnamed
from halo_jax.runtime.visible import visible

_MOST_NAMES = 20  # of arms in a line
_RIGHT = "the folder of an arm, or a file that hj.load(...).save has written"


def load(path: str | Path, round: int | None = None) -> TrainedModel:
    """A trained model, with all that makes a network of it: neither the data nor the chip of its run are needed.

    A run that is going on may be loaded from, too. A network or recipe of one's own has to stand in its table again.

    Args:
      path: the folder of an arm, or a file that `TrainedModel.save` has written.
      round: of a folder, after which round; None is the last that has a checkpoint. The run's fields
        `checkpoint_every` and `keep_checkpoints` say which there are.

    Returns:
      The server's model after that round.

    Raises:
      ConfigError: there is no run or no such arm, or an entry of its config is not registered; one line.
      RecordError: a record or the file is missing, damaged or somebody else's; one line.
      CheckpointError: there is no checkpoint of that round, or it is damaged; one line.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(f"{visible(path)}: no such folder or file; right: {_RIGHT}")
    return _of_folder(path, round) if path.is_dir() else _of_file(path, round)


def _of_folder(folder: Path, round: int | None) -> TrainedModel:
    if not (folder / run_folder.CONFIG).exists():
        raise ConfigError(f"{visible(folder)} is no run folder; right: {_RIGHT}")
    with _about(folder / run_folder.CONFIG):
        config = schema.of_record(run_folder.recorded_config(folder))
        _require_arm(folder, config)
    record = model_record.read(folder)
    chosen = _choose(folder / checkpoint_files.FOLDER, round)
    with _about(folder):
        like = _shapes(config, record)
        return trained_model(config, record, _read(folder / checkpoint_files.FOLDER / str(chosen), like), chosen)


def _of_file(path: Path, round: int | None) -> TrainedModel:
    found = model_file.read(path)
    if round not in (None, found.round):
        raise ConfigError(f"round={round} of {visible(path)}; right: {found.round}, which is the one in it")
    with _about(path):
        config = schema.of_record(found.config)
        like = _shapes(config, found.record)
        with files.errors_of(path):
            model = unnamed(found.tensors, like)
        return trained_model(config, found.record, model, found.round)


@contextlib.contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name a file or folder in what is said of its config."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{visible(path)}: {error}") from error


def _shapes(config: Config, record: ModelRecord) -> Any:
    """The shapes of the server's model. Raises ConfigError, also for a network or a recipe that no table knows."""
    try:
        require_known([("model", config.model, MODELS), ("recipe.name", config.recipe.name, RECIPES)])
    except ConfigError as error:
        own = "one of your own has to be listed before, as in hj.MODELS['mine'] = mine"
        raise ConfigError(f"{error}; {own}") from error
    return shapes_of_model(config, make_recipe(config), record.num_classes, record.image_shape)


def _require_arm(folder: Path, config: Config) -> None:
    """Raise ConfigError for an experiment that holds arms, seeds or points, or is a study."""
    if config.study:
        raise ConfigError(f"a study, {config.study}, trains no model; right: the folder of an arm")
    if not (config.arms or config.seeds or config.sweep):
        return
    inside = [place for place in plan.folders(config, folder) if (place / run_folder.ROUNDS).exists()]
    names = [visible(place.relative_to(folder)) for place in inside]
    listed = ", ".join(names[:_MOST_NAMES]) or "(none of which has begun)"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    raise ConfigError(f"the models of this experiment lie in its folders {listed}{more}; right: one of them")


def _choose(folder: Path, round: int | None) -> int:
    """The round that is asked for, or the last one. Raises CheckpointError if it has no checkpoint."""
    try:
        there = checkpoint_files.rounds(folder)
    except OSError as error:
        raise CheckpointError(f"{visible(folder)}: {reason_of(error)}; right: a run that has saved a round") from error
    if not there:
        raise CheckpointError(f"{visible(folder)}: no checkpoint yet; config.checkpoint_every says when there is one")
    if round is not None and round not in there:
        kept = "config.checkpoint_every and config.keep_checkpoints say which are kept"
        raise CheckpointError(f"{visible(folder)}: none of round {show(round)}; there: {_listed(there)}; {kept}")
    return there[0] if round is None else round


def _read(path: Path, like: Any) -> Any:
    try:
        return checkpoint_files.read_model(path, like)
    except Exception as error:  # orbax raises many kinds
        others = [other for other in checkpoint_files.rounds(path.parent) if str(other) != path.name]
        advice = f"there are also those of round {_listed(others)}" if others else "put a good copy back"
        raise CheckpointError(f"{visible(path)} is damaged ({reason_of(error)}); {advice}") from error


def _listed(rounds: list[int]) -> str:
    return ", ".join(map(str, reversed(rounds[:_MOST_NAMES])))
