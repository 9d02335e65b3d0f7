"""The arms of an experiment: what a name says, and the config that comes of it.

An arm is `NAME` or `NAME:FIELD=VALUE,FIELD=VALUE`. NAME is a precision ("8-8-8": everyone, always), a selector
("halo_ps") or a compressor ("terngrad", at a static `selector.start`). FIELD is a parameter of NAME's own, such as
`levels` in "qsgd:levels=7"; a field in full, such as "halo_ps:compressor.name=uniform"; or a parameter of the entry
that the arm names in a section, such as `recipe.loss` for `recipe.wage.loss`. What is not named is as in the
experiment.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import ml_collections

from halo_jax.compressors import COMPRESSORS
from halo_jax.config import schema
from halo_jax.config.entries import SECTIONS, all_fields, of_entry
from halo_jax.config.errors import ConfigError, naming, show
from halo_jax.config.fields import FIELDS
from halo_jax.config.schema import Config, unknown_field
from halo_jax.parameters import Field
from halo_jax.selectors import SELECTORS
from halo_jax.types import is_precision


class _Named(NamedTuple):
    section: str  # where the arm's short fields belong
    entry: str
    fields: dict[str, Any]  # what the name alone says


def expand_arms(config: Config) -> dict[str, Config]:
    """The config of every arm, without arms of its own. Raises ConfigError, one line."""
    expanded = {}
    for arm in config.arms or (config.selector.name,):
        with naming(arm if config.arms else ""):
            expanded[arm] = _expand(arm, config) if config.arms else _copy(config)
            schema.validate(expanded[arm])
    _require_reached(config, expanded.values())
    return {arm: _of_named_entries(of_arm, [of_arm]) for arm, of_arm in expanded.items()}


def recorded(config: Config) -> dict[str, Any]:
    """What is written of an experiment: its fields, and those of entries that it or one of its arms names.

    So an entry that somebody registers changes no record of a run that does not use it.
    """
    return _of_named_entries(config, [config, *expand_arms(config).values()]).to_dict()


def recorded_of_arm(config: Config) -> dict[str, Any]:
    """What is written of a config without arms: the same, also where it names an entry that no table here knows."""
    found = config.to_dict()
    for section, about in SECTIONS.items():
        own, values = schema.get(config, about.name_field), found.pop(section, {})
        kept = {key: value for key, value in values.items() if key == own or not isinstance(value, dict)}
        found |= {section: kept} if kept else {}
    return found


def _copy(config: Config) -> Config:
    copy: Config = ml_collections.ConfigDict(config.to_dict())
    copy.arms, copy.seeds, copy.sweep = (), (), ()
    return copy


def _expand(arm: str, config: Config) -> Config:
    name, _, text = arm.partition(":")
    named, expanded = _named(name), _copy(config)
    given = _assignments(_split(text) if ":" in arm else [], named, config)
    for field in given.keys() & named.fields.keys():
        raise ConfigError(f"{field}={show(given[field])}, but {name} says {show(named.fields[field])}")
    for field, value in (named.fields | given).items():
        schema.put(expanded, field, value)
    return expanded


def _named(name: str) -> _Named:
    static = {"selector.name": "static", "selector.floor": "2-2-2"}  # a floor that binds nothing: one program for all
    if is_precision(name):
        return _Named("selector", "static", {**static, "selector.start": name})
    if name in SELECTORS:
        return _Named("selector", name, {"selector.name": name})
    if name in COMPRESSORS:
        return _Named("compressor", name, {**static, "compressor.name": name})
    raise ConfigError(f"known: a precision such as '8-8-8', {', '.join((*SELECTORS, *COMPRESSORS))}")


def _split(text: str) -> list[str]:
    """The assignments in "a=1,b=(2,3)": commas within parentheses separate nothing."""
    return re.split(r",(?![^(]*\))", text)


def _assignments(texts: Iterable[str], named: _Named, config: Config) -> dict[str, Any]:
    """The fields in full and their values."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        if not equals:
            raise ConfigError(f"{show(name + value)} is not of the form FIELD=VALUE")
    says = {name: value for name, _, value in pairs} | named.fields
    assigned: dict[str, Any] = {}
    for name, _, value in pairs:
        field = _in_full(name, named, {key: says.get(about.name_field) for key, about in SECTIONS.items()}, config)
        if field in assigned:
            raise ConfigError(f"{field} is said twice")
        assigned[field] = schema.parse(field, value)
    return assigned


def _in_full(name: str, named: _Named, entries: Mapping[str, str | None], config: Config) -> str:
    """The field that an arm means by `name`; `entries` has what the arm names in each section. Raises ConfigError."""
    section, _, leaf = (name if "." in name else f"{named.section}.{name}").partition(".")
    entry = entries.get(section)
    if entry is None and section in SECTIONS:
        entry = schema.get(config, SECTIONS[section].name_field)
    fields = all_fields()
    for field in (f"{section}.{leaf}", f"{section}.{entry}.{leaf}"):
        if field not in fields:
            continue
        if not fields[field].of_arm:
            allowed = sorted({field.partition(".")[0] for field, about in fields.items() if about.of_arm})
            raise ConfigError(f"{field} is the same for all arms; theirs: fields of {', '.join(allowed)}")
        return field
    if entry is not None and "." not in leaf and f"{section}.{leaf}" not in fields:
        raise ConfigError(_not_taken(section, entry, leaf))
    raise ConfigError(unknown_field(name))


def _not_taken(section: str, entry: str, leaf: str) -> str:
    takes = [field.rpartition(".")[2] for field in of_entry(section, entry)]
    hint = unknown_field(f"{section}.{entry}.{leaf}").partition("; ")[2]
    return f"{leaf} is no parameter of {entry}; it takes: {', '.join(takes) or 'none'}; {hint}"


def _require_reached(config: Config, expanded: Iterable[Config]) -> None:
    """Raise ConfigError for a parameter that would change nothing, as no arm names its entry."""
    named = {name for of_arm in expanded for name in _fields_of_named(of_arm)}
    for name, field in all_fields().items():
        value = schema.get(config, name)
        if name in FIELDS or name in named or value == field.default:
            continue
        section, entry, _ = name.split(".")
        about = SECTIONS[section]
        instead = f"{about.name_field}={schema.get(config, about.name_field)!r}"
        named_by = "no arm names it" if config.arms else instead
        raise ConfigError(f"{name}={show(value)} changes nothing, as the {about.noun} is not {entry!r}: {named_by}")


def fields_of(config: Config) -> dict[str, Field]:
    """The fields that have a meaning for a config without arms: all but those of entries that it does not name."""
    return FIELDS | _fields_of_named(config)


def _fields_of_named(config: Config) -> dict[str, Field]:
    """The parameters of the entries that a config names."""
    named = ((section, schema.get(config, about.name_field)) for section, about in SECTIONS.items())
    return {name: field for section, entry in named for name, field in of_entry(section, entry).items()}


def _of_named_entries(config: Config, naming: Iterable[Config]) -> Config:
    """The same config with the parameters of those entries alone that one of `naming` names."""
    kept = {name: schema.get(config, name) for other in naming for name in _fields_of_named(other)}  # values: config's
    copy: Config = ml_collections.ConfigDict(config.to_dict())
    for section in SECTIONS:
        for entry in list(copy.get(section, {})):
            if isinstance(copy[section][entry], ml_collections.ConfigDict):
                del copy[section][entry]
        if section in copy and not copy[section]:  # a section of nothing but entries' parameters, such as `models`
            del copy[section]
    for name, value in kept.items():
        schema.put_at(copy, name, value)
    return copy
