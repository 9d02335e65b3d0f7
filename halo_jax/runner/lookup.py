"""From the names in a config to the entries of tables, each called with its own fields of the config."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from halo_jax import datasets
from halo_jax.compressors import COMPRESSORS, Compressor
from halo_jax.compressors.error_feedback import error_feedback
from halo_jax.config import FIELDS, Config, ConfigError, all_take_part, show
from halo_jax.federation.partition import PARTITIONS
from halo_jax.hardware import PLATFORMS
from halo_jax.models import MODELS
from halo_jax.recipes import RECIPES, Recipe
from halo_jax.selectors import SELECTORS, Pace, on_plateau, reduction_rounds
from halo_jax.types import Precision


def check_names(config: Config) -> None:
    """Raise ConfigError, one line, for a name that its table does not know."""
    check_dataset(config.dataset)
    named = [
        ("model", config.model, MODELS),
        ("recipe.name", config.recipe.name, RECIPES),
        ("selector.name", config.selector.name, SELECTORS),
        ("hardware.name", config.hardware.name, PLATFORMS),
        ("compressor.name", config.compressor.name, COMPRESSORS),
        ("partition.name", config.partition.name, PARTITIONS),
    ]
    require_known(named)


def check_dataset(name: str) -> None:
    """The same for the data set alone, with its variant."""
    try:
        datasets.check_name(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def require_known(named: Iterable[tuple[str, str, Collection[str]]]) -> None:
    """Raise ConfigError, one line, for the first (field, name, table) whose table does not know the name."""
    for field, name, table in named:
        if name not in table:
            raise ConfigError(f"{field}={show(name)}; known: {', '.join(table)}")


def build(entry: Callable[..., Any], fields: Mapping[str, Any], **more: Any) -> Any:
    """Call a table's entry with those of `fields` and `more` that it has parameters for."""
    known = inspect.signature(entry).parameters
    return entry(**{name: value for name, value in {**fields, **more}.items() if name in known})


def make_selector(config: Config):
    """The selector that the config names, with its own fields of `selector.*`."""
    chosen = config.selector
    bits = {"start": Precision.parse(chosen.start), "floor": Precision.parse(chosen.floor)}
    fields = {**chosen, **bits, "reduce_rounds": _pace(config)}
    return build(SELECTORS[chosen.name], fields)


def _pace(config: Config) -> Sequence[int] | Pace:
    """When clients may lower their precision: the rounds, counted from 1, or a pace that follows their losses."""
    chosen = config.selector
    if chosen.reduce_when == "plateau":
        return on_plateau(chosen.patience, chosen.plateau_gain, all_take_part=all_take_part(config))
    if chosen.reduce_when == "learning_rate":
        return tuple((np.flatnonzero(np.diff(phase_of_rounds(config))) + 2).tolist())
    return reduction_rounds(config.rounds, chosen.reduce_every, chosen.reduce_rounds)


def phase_of_rounds(config: Config) -> np.ndarray:
    """The phase of the learning rate of every round, int `[R]` from 0: phases by their share of the rounds."""
    ends = np.round(np.cumsum(config.recipe.phases) * config.rounds).astype(int)
    phase = np.searchsorted(ends, np.arange(config.rounds), side="right")
    return np.minimum(phase, len(ends) - 1)


def make_compressor(config: Config, recipe: Recipe) -> Compressor:
    """The compressor that the config names, with those of its parameters that differ from the fields' defaults.

    Raises:
      ConfigError: a parameter that this compressor does not take, or a value that it refuses.
    """
    name, wanted = config.compressor.name, {**config.compressor}
    given = {key: value for key, value in wanted.items() if value != FIELDS[f"compressor.{key}"].default}
    taken = set(inspect.signature(COMPRESSORS[name]).parameters) & wanted.keys()
    for key in given.keys() - taken - {"name", "error_feedback"}:
        takes = ", ".join(sorted(taken)) or "none"
        raise ConfigError(f"compressor.{key}={show(given[key])} is no parameter of {name}; it takes: {takes}")
    try:
        made = build(COMPRESSORS[name], given, model_bits=recipe.model_bits)
        return error_feedback(made) if config.compressor.error_feedback else made
    except ValueError as error:
        raise ConfigError(f"compressor.name={name!r}: {error}") from error
