"""An experiment: a locked ConfigDict of the fields in `fields`, the one schema.

`default()` returns a locked ConfigDict; `validate(config)` raises ConfigError with one line that names the field, the
value and what is allowed.
"""

import ast
import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from halo_jax.config.fields import FIELDS
from halo_jax.parameters import Field

_ONE_OR_EACH = (
    *("demand.energy_mj", "demand.latency_s", "demand.area_mm2"),
    *("clock.up_mbps", "clock.down_mbps", "clock.battery_joule"),
)

Config = Any  # an ml_collections.ConfigDict with the fields of FIELDS; Any, since its attributes are data


class ConfigError(ValueError):
    """A field has an impossible value; the message is one line."""


def default() -> Config:
    """A locked ConfigDict with every field at its default."""
    config: Config = ml_collections.ConfigDict()
    for name, field in FIELDS.items():
        node: Config = config
        *parents, leaf = name.split(".")
        for parent in parents:
            if parent not in node:
                node[parent] = ml_collections.ConfigDict()
            node = node[parent]
        node[leaf] = field.default
    return config.lock()


def of_record(recorded: Mapping[str, Any]) -> Config:
    """The config that a `config.json` holds, validated as what a user types is.

    A field that is younger than the record has its default. Raises ConfigError, one line.
    """
    config = default()
    _fill(config, recorded)
    validate(config)
    return config


def missing(recorded: Mapping[str, Any]) -> list[str]:
    """The fields that a `config.json` does not have."""
    return [field for field in FIELDS if not _has(recorded, field)]


def _has(recorded: Mapping[str, Any], field: str) -> bool:
    try:
        get(recorded, field)
    except (KeyError, TypeError):
        return False
    return True


def _fill(config: Config, recorded: Mapping[str, Any], section: str = "") -> None:
    for key, value in recorded.items():
        name = f"{section}{key}"
        if name in FIELDS:
            put(config, name, tuple(value) if isinstance(value, list) else value)
        elif not any(field.startswith(f"{name}.") for field in FIELDS):
            raise ConfigError(unknown_field(name))
        elif isinstance(value, Mapping):
            _fill(config, value, f"{name}.")
        else:
            raise ConfigError(f"{name}={show(value)}; allowed: fields and their values")


def get(config: Config, name: str) -> Any:
    """The value of a dotted field name."""
    node: Any = config
    for part in name.split("."):
        node = node[part]
    return node


def put(config: Config, name: str, value: Any) -> None:
    """Set a field by its dotted name. Raises ConfigError for a value of another type."""
    *parents, leaf = name.split(".")
    node: Any = config
    for part in parents:
        node = node[part]
    try:
        node[leaf] = value
    except (TypeError, OverflowError):  # the latter for a whole number of 400 digits
        raise _refused(name, value) from None


def parse(name: str, text: str) -> Any:
    """The value of a field as written: text as it is, all else as Python writes it. Raises ConfigError for neither."""
    default = FIELDS[name].default
    if isinstance(default, str):
        return text
    try:
        found = ast.literal_eval(text.capitalize() if isinstance(default, bool) else text)
        return float(found) if type(found) is int and isinstance(default, float) else found
    except (ValueError, SyntaxError, MemoryError, RecursionError, OverflowError):
        raise _refused(name, text) from None


def _refused(name: str, value: Any) -> ConfigError:
    return ConfigError(f"{name}={show(value)}; allowed: {FIELDS[name].allowed}")


def cohort_size(config: Config) -> int:
    """How many clients take part in a round: `cohort_size`, or all where that is 0."""
    return config.cohort_size or config.num_clients


def all_take_part(config: Config) -> bool:
    """Whether every client trains in every round: none is left out of a cohort, late, or without energy."""
    clock = config.clock
    return cohort_size(config) == config.num_clients and not clock.deadline_s and not clock.battery_joule


def show(value: Any) -> str:
    """A value for a message: its repr, as one printable line of at most 80 characters."""
    try:
        text = repr(value)
    except Exception:  # Python refuses whole numbers of 5,000 digits and tuples 1,000 deep
        text = f"<{type(value).__name__}>"
    return _shorten(text, 80)


def _shorten(text: str, length: int) -> str:
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= length else f"{text[: length - 23]}...{text[-20:]}"


def unknown_field(name: str) -> str:
    """One line about a field that does not exist: the nearest names, or where all stand."""
    near = difflib.get_close_matches(name, FIELDS) or [field for field in FIELDS if name and field.startswith(name)]
    hint = f"did you mean {' or '.join(near)}?" if near else "all fields stand in halo_jax/config/fields.py"
    return f"unknown field {show(name)}; {hint}"


@contextlib.contextmanager
def naming(what: str, field: str = "arms") -> Iterator[None]:
    """Lines about what is wrong name the arm, or the entry of another field, unless it has no name."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{field}={show(what)}: {error}" if what else str(error)) from error


def explain(message: str) -> str:
    """A flag parser's message in one short line, without a traceback, with what is allowed for the field it names."""
    if "Traceback" in message:
        message = message.partition("Traceback")[0] + message.rpartition("\n")[2]
    named = re.search(r"--config\.([\w.]+)=", message)
    field = FIELDS.get(named[1]) if named else None
    line = _shorten(message, 140 if field else 500)  # paths of files may stand in what names no field
    return f"{line}; allowed: {field.allowed}" if field else line


def validate(config: Config) -> None:
    """Raise ConfigError, one line, at the first field that is missing, unknown, of a wrong type or out of range."""
    if not isinstance(config, ml_collections.ConfigDict):
        getattr(config, "name", None)  # what stands for a file that could not be read raises its error here
        raise ConfigError(f"the experiment is a {type(config).__name__}; allowed: config.default() with changes")
    _check_names(config)
    for name, field in FIELDS.items():
        _check_value(name, get(config, name), field)
    _check_together(config)


def _check_names(config: Config) -> None:
    try:
        names = set(_leaf_names(config))  # ConfigDict sorts its names
    except TypeError as error:
        raise ConfigError("a name of a field is not text; all fields stand in halo_jax/config/fields.py") from error
    for name in sorted(names - FIELDS.keys()):
        raise ConfigError(unknown_field(name))
    for name in sorted(FIELDS.keys() - names):
        raise ConfigError(f"missing field {name}; start from halo_jax.config.default()")


def _leaf_names(node: ml_collections.ConfigDict, prefix: str = "") -> list[str]:
    names = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        names += _leaf_names(value, f"{name}.") if isinstance(value, ml_collections.ConfigDict) else [name]
    return names


def _check_value(name: str, value: Any, field: Field) -> None:
    kind = type(field.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"{name}={show(value)} is a {type(value).__name__}; allowed: {field.allowed}")
    if not field.check(value):
        raise ConfigError(f"{name}={show(value)}; allowed: {field.allowed}")


def _check_together(config: Config) -> None:
    recipe, demand, selector = config.recipe, config.demand, config.selector
    if len(set(config.arms)) < len(config.arms):
        raise ConfigError(f"arms={show(config.arms)}; allowed: each arm once")
    if len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"seeds={show(config.seeds)}; allowed: each seed once")
    if abs(sum(recipe.phases) - 1) > 1e-9:
        raise ConfigError(f"recipe.phases={show(recipe.phases)} add up to {sum(recipe.phases):g}; allowed: a sum of 1")
    if recipe.learning_rates and len(recipe.learning_rates) != len(recipe.phases):
        raise ConfigError(
            f"recipe.learning_rates={show(recipe.learning_rates)} has {len(recipe.learning_rates)} entries; "
            f"allowed: one for each of the {len(recipe.phases)} recipe.phases"
        )
    if config.cohort_size > config.num_clients:
        raise ConfigError(f"cohort_size={config.cohort_size}; allowed: 0 to num_clients={config.num_clients}")
    groups = demand.energy_clients + demand.latency_clients + demand.area_clients
    if groups > config.num_clients:
        raise ConfigError(
            f"demand.energy_clients, latency_clients and area_clients add up to {groups}; "
            f"allowed: at most num_clients={config.num_clients}, for example 0 for each"
        )
    for name in _ONE_OR_EACH:
        values = get(config, name)
        if len(values) not in (0, 1, config.num_clients):
            raise ConfigError(
                f"{name}={show(values)} has {len(values)} entries; "
                f"allowed: none, one, or one for each of num_clients={config.num_clients}"
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
    pairs = zip(selector.start.split("-"), selector.floor.split("-"), strict=True)
    if any(int(start) < int(floor) for start, floor in pairs):
        raise ConfigError(
            f"selector.floor={selector.floor!r} is above selector.start={selector.start!r}; "
            "allowed: no dimension of the floor above the start"
        )
