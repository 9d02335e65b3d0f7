"""From the names in a config to the entries of tables, each called with its own parameters and what it asks for."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import linen as nn

from halo_jax import datasets
from halo_jax.compressors import COMPRESSORS, Compressor
from halo_jax.compressors.error_feedback import error_feedback
from halo_jax.config import Config, ConfigError, all_take_part, schema, show
from halo_jax.config.entries import SECTIONS, of_entry
from halo_jax.federation.partition import PARTITIONS
from halo_jax.hardware import PLATFORMS, Chip
from halo_jax.models import MODELS
from halo_jax.recipes import RECIPES, Recipe
from halo_jax.selectors import SELECTORS, Pace, Selector, on_plateau, reduction_rounds
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


def build(section: str, config: Config, *positional: Any, **offered: Any) -> Any:
    """Call the entry that a section of the config names.

    Args:
      section: one of `config.entries.SECTIONS`.
      config: the experiment, with the entry's parameters, such as `compressor.topk.share`.
      *positional: what every entry of the table takes.
      **offered: what an entry may ask for: it gets what it has a parameter of that name for.

    Returns:
      What the entry makes.

    Raises:
      ConfigError: it refuses a value, or asks for what is not offered; one line.
    """
    about = SECTIONS[section]
    name = schema.get(config, about.name_field)
    entry: Callable[..., Any] = about.table[name]
    parameters = {field.rpartition(".")[2]: schema.get(config, field) for field in of_entry(section, name)}
    try:
        return entry(*positional, **parameters, **_asked_for(entry, offered, parameters, len(positional)))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{about.name_field}={name!r}: {error}") from error


def _asked_for(
    entry: Callable[..., Any], offered: Mapping[str, Any], given: Mapping[str, Any], positional: int
) -> dict[str, Any]:
    """Those of `offered` that the entry has parameters for. Raises ValueError if it needs more."""
    asked_for = {}
    for name, parameter in list(inspect.signature(entry).parameters.items())[positional:]:
        if name in offered and name not in given:
            asked_for[name] = offered[name]
        elif name not in given and parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY:
            has = ", ".join(offered) or "nothing"
            raise ValueError(f"parameter {name} has no kind and default, and none of {has} is it")
    return asked_for


def make_recipe(config: Config) -> Recipe:
    """The recipe that the config names. Raises as `build`."""
    return build("recipe", config, exact=config.exact)


def make_model(config: Config, num_classes: int, width: float, **options: Any) -> nn.Module:
    """The network that the config names, for so many classes. Raises as `build`."""
    return build("models", config, num_classes, width=width, **options)


def make_platform(config: Config) -> Chip:
    """The chip that the config names, with the constants of its device. Raises as `build`."""
    return build("hardware", config, config.hardware.device)


def make_selector(config: Config) -> Selector:
    """The selector that the config names, for its start, its floor and its pace. Raises as `build`."""
    start, floor = Precision.parse(config.selector.start), Precision.parse(config.selector.floor)
    return build("selector", config, start=start, floor=floor, reduce_rounds=_pace(config))


def make_compressor(config: Config, recipe: Recipe) -> Compressor:
    """The compressor that the config names, for the recipe's model. Raises as `build`."""
    compressor = build("compressor", config, model_bits=recipe.model_bits)
    try:
        return error_feedback(compressor) if config.compressor.error_feedback else compressor
    except ValueError as error:
        raise ConfigError(f"compressor.name={config.compressor.name!r}: {error}") from error


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
    ends = np.round(np.cumsum(config.schedule.phases) * config.rounds).astype(int)
    phase = np.searchsorted(ends, np.arange(config.rounds), side="right")
    return np.minimum(phase, len(ends) - 1)
