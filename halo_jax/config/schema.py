"""An experiment: a locked ConfigDict of the fields in `fields` and of those that entries of tables declare.

`default()` returns a locked ConfigDict; `validate(config)` raises ConfigError with one line that names the field, the
value and what is allowed.
"""

import ast
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from halo_jax.config import entries
from halo_jax.config.earlier import modern
from halo_jax.config.entries import all_fields
from halo_jax.config.errors import ConfigError, shorten, show
from halo_jax.config.fields import FIELDS
from halo_jax.parameters import Field
from halo_jax.types import Precision

Config = Any  # an ml_collections.ConfigDict with the fields of `all_fields()`; Any, since its attributes are data

# What every version has recorded: a JSON object without these is not the config of a run.
_ALWAYS = ("name", "arms", "seed", "rounds", "dataset", "model", "num_clients", "selector.name", "recipe.name")
_ALL = "python launch.py --fields=all lists all"


def default() -> Config:
    """A locked ConfigDict with every field at its default, those of the entries that are registered by now too."""
    config: Config = ml_collections.ConfigDict()
    for name, field in all_fields().items():
        put_at(config, name, field.default)
    return config.lock()


def put_at(config: Config, name: str, value: Any) -> None:
    """Set a field, with the sections that it stands in, whatever stood there."""
    *sections, leaf = name.split(".")
    for section in sections:
        if section not in config:
            config[section] = ml_collections.ConfigDict()
        config = config[section]
    with config.unlocked(), config.ignore_type():
        config[leaf] = value


def of_record(recorded: Mapping[str, Any]) -> Config:
    """The config that a `config.json` holds, validated as what a user types is.

    A field that is younger than the record has its default. What the record says of entries that are not registered
    here, such as a user's own, is taken as it is. Raises ConfigError, one line.
    """
    config, values = default(), dict(leaves(modern(recorded)))
    strangers = {name for name in values if _is_strangers(name)}
    for name in _ALWAYS:
        if name not in values:
            raise ConfigError(f"{name} is missing")
    for name in [name for name in values if name not in strangers]:
        if name not in all_fields():
            raise ConfigError(unknown_field(name))
        put(config, name, _as_tuple(values[name]))
    validate(config)
    with config.unlocked():
        for name in strangers:
            put_at(config, name, _as_tuple(values[name]))
    return config


def leaves(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name and the value of every field in a record of a config."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def _is_strangers(name: str) -> bool:
    """Whether it is a parameter of an entry that no table here knows."""
    section, _, rest = name.partition(".")
    return entries.is_entrys(name) and rest.partition(".")[0] not in entries.SECTIONS[section].table


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def get(config: Config, name: str) -> Any:
    """The value of a dotted field name; of an entry that was registered later than the config was made, its default."""
    node: Any = config
    for key in name.split("."):
        if entries.is_entrys(name) and key not in node:
            field = all_fields().get(name)
            return field.default if field else None
        node = node[key]
    return node


def put(config: Config, name: str, value: Any) -> None:
    """Set a field by its dotted name. Raises ConfigError for a value of another type."""
    *sections, leaf = name.split(".")
    if entries.is_entrys(name) and get(config, name) is not None:
        with config.unlocked():
            put_at(config, name, get(config, name))
    node: Any = config
    for section in sections:
        node = node[section]
    try:
        node[leaf] = value
    except (TypeError, OverflowError):  # the latter for a whole number of 400 digits
        raise _refused(name, value) from None


def parse(name: str, text: str) -> Any:
    """The value of a field as written: text as it is, all else as Python writes it. Raises ConfigError for neither."""
    default = all_fields()[name].default
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text.capitalize() if isinstance(default, bool) else text)
        return float(value) if type(value) is int and isinstance(default, float) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError, OverflowError):
        raise _refused(name, text) from None


def _refused(name: str, value: Any) -> ConfigError:
    return ConfigError(f"{name}={show(value)}; allowed: {all_fields()[name].kind.allowed}")


def cohort_size(config: Config) -> int:
    """How many clients take part in a round: `cohort_size`, or all where that is 0."""
    return config.cohort_size or config.num_clients


def all_take_part(config: Config) -> bool:
    """Whether every client trains in every round: none is left out of a cohort, late, or without energy."""
    clock = config.clock
    return cohort_size(config) == config.num_clients and not clock.deadline_s and not clock.battery_joule


def unknown_field(name: str) -> str:
    """One line about a field that does not exist: the nearest names, or where all stand."""
    fields, section, leaf = all_fields(), name.partition(".")[0], name.rpartition(".")[2]
    near = [field for field in fields if field.startswith(f"{section}.") and field.endswith(f".{leaf}")]
    near = near or difflib.get_close_matches(name, fields) or [f for f in fields if name and f.startswith(name)][:20]
    hint = f"did you mean {' or '.join(near)}?" if near else _ALL
    return f"unknown field {show(name)}; {hint}"


def explain(message: str) -> str:
    """A flag parser's message in one short line, without a traceback, with what is allowed for the field it names."""
    if "Traceback" in message:
        message = message.partition("Traceback")[0] + message.rpartition("\n")[2]
    named = re.search(r"--config\.([\w.]+)=", message)
    field = all_fields().get(named[1]) if named else None
    line = shorten(message, 140 if field else 500)  # paths of files may stand in what names no field
    return f"{line}; allowed: {field.kind.allowed}" if field else line


def validate(config: Config) -> None:
    """Raise ConfigError, one line, at the first field that is missing, unknown, of a wrong type or out of range."""
    if not isinstance(config, ml_collections.ConfigDict):
        getattr(config, "name", None)  # what stands for a file that could not be read raises its error here
        raise ConfigError(f"the experiment is a {type(config).__name__}; allowed: config.default() with changes")
    fields = all_fields()
    _check_names(config, fields)
    for name, field in fields.items():
        _check_value(name, get(config, name), field)
    _check_lengths(config, fields)
    _check_together(config)


def _check_names(config: Config, fields: Mapping[str, Field]) -> None:
    try:
        names = set(leaf_names(config))  # ConfigDict sorts its names
    except TypeError as error:
        raise ConfigError(f"a name of a field is not text; {_ALL}") from error
    for name in sorted(names - fields.keys()):
        raise ConfigError(unknown_field(name))
    for name in sorted(FIELDS.keys() - names):
        raise ConfigError(f"missing field {name}; start from halo_jax.config.default()")


def leaf_names(node: ml_collections.ConfigDict, prefix: str = "") -> list[str]:
    """The dotted names of all fields of a config, or of one of its sections."""
    names = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        names += leaf_names(value, f"{name}.") if isinstance(value, ml_collections.ConfigDict) else [name]
    return names


def _check_value(name: str, value: Any, field: Field) -> None:
    kind = type(field.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"{name}={show(value)} is a {type(value).__name__}; allowed: {field.kind.allowed}")
    if not field.kind.fits(value):
        raise ConfigError(f"{name}={show(value)}; allowed: {field.kind.allowed}")


def _check_lengths(config: Config, fields: Mapping[str, Field]) -> None:
    for name, field in fields.items():
        values = get(config, name)
        if field.kind.one_or_each and len(values) not in (0, 1, config.num_clients):
            raise ConfigError(
                f"{name}={show(values)} has {len(values)} entries; "
                f"allowed: none, one, or one for each of num_clients={config.num_clients}"
            )


def _check_together(config: Config) -> None:
    phases, demand, selector = config.schedule.phases, config.demand, config.selector
    if len(set(config.arms)) < len(config.arms):
        raise ConfigError(f"arms={show(config.arms)}; allowed: each arm once")
    if len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"seeds={show(config.seeds)}; allowed: each seed once")
    if abs(sum(phases) - 1) > 1e-9:
        raise ConfigError(f"schedule.phases={show(phases)} add up to {sum(phases):g}; allowed: a sum of 1")
    if config.cohort_size > config.num_clients:
        raise ConfigError(f"cohort_size={config.cohort_size}; allowed: 0 to num_clients={config.num_clients}")
    groups = demand.energy_clients + demand.latency_clients + demand.area_clients
    if groups > config.num_clients:
        raise ConfigError(
            f"demand.energy_clients, latency_clients and area_clients add up to {groups}; "
            f"allowed: at most num_clients={config.num_clients}, for example 0 for each"
        )
    if len(demand.weights) not in (0, 3, 3 * config.num_clients):
        raise ConfigError(
            f"demand.weights={show(demand.weights)} has {len(demand.weights)} entries; "
            f"allowed: none, three, or three for each of num_clients={config.num_clients}"
        )
    if len(config.image_shape) not in (0, 3):
        raise ConfigError(f"image_shape={show(config.image_shape)}; allowed: height, width and channels, or ()")
    for name in ("reduce_every", "reduce_rounds"):
        if selector.reduce_when != "rounds" and selector[name]:
            raise ConfigError(
                f"selector.{name}={show(selector[name])} with selector.reduce_when={selector.reduce_when!r}; "
                f"allowed: selector.reduce_when='rounds', or no {name}"
            )
    widths = zip(Precision.parse(selector.start), Precision.parse(selector.floor), strict=True)
    if any(start < floor for start, floor in widths):
        raise ConfigError(
            f"selector.floor={selector.floor!r} is above selector.start={selector.start!r}; "
            "allowed: no dimension of the floor above the start"
        )
