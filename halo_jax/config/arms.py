"""The arms of an experiment: what a name says, and the config that comes of it.

An arm is `NAME` or `NAME:FIELD=VALUE,FIELD=VALUE`. NAME is a precision ("8-8-8": everyone, always), a selector
("halo_ps") or a compressor ("terngrad", at a static `selector.start`). FIELD is a field of NAME's own section, such as
`levels` in "qsgd:levels=7", or one of SECTIONS in full, such as "halo_ps:compressor.name=uniform". What is not named is
as in the experiment; a section whose name an arm changes starts from that entry's own defaults.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections

from halo_jax.compressors import COMPRESSORS
from halo_jax.config import FIELDS, Config, ConfigError, schema, show, unknown_field
from halo_jax.selectors import SELECTORS

NAMED = ("recipe", "compressor")  # sections that name an entry with fields of its own
SECTIONS = (*NAMED, "selector", "noise", "clock", "evaluation")  # in which arms may differ: all share data and clients


class _Named(NamedTuple):
    section: str  # where the arm's short fields belong
    fields: dict[str, Any]  # what the name alone says


def expand_arms(config: Config) -> dict[str, Config]:
    """The config of every arm, without arms of its own. Raises ConfigError, one line."""
    expanded = {}
    for arm in config.arms or (config.selector.name,):
        with schema.naming(arm if config.arms else ""):
            expanded[arm] = _expand(arm, config) if config.arms else _copy(config)
            schema.validate(expanded[arm])
    _require_reached(config, expanded)
    return expanded


def is_precision(name: str) -> bool:
    """Whether an arm is named by a precision, such as "8-8-8"."""
    return name.isascii() and name.replace("-", "").isdecimal()


def _copy(config: Config) -> Config:
    one: Config = ml_collections.ConfigDict(config.to_dict())
    one.arms, one.seeds, one.sweep = (), (), ()
    return one


def _expand(arm: str, config: Config) -> Config:
    name, _, text = arm.partition(":")
    named, one = _named(name), _copy(config)
    parts = _split(text) if ":" in arm else []
    given = dict(_assignment(part, named.section) for part in parts)
    if len(given) < len(parts):
        raise ConfigError(f"{show(text)} says a field twice")
    for field in given.keys() & named.fields.keys():
        raise ConfigError(f"{field}={show(given[field])}, but {name} says {show(named.fields[field])}")
    fields = named.fields | given
    for section in NAMED:
        if fields.get(f"{section}.name", one[section].name) != one[section].name:
            _reset(one, section)
    for field, value in fields.items():
        schema.put(one, field, value)
    return one


def _named(name: str) -> _Named:
    if is_precision(name):  # its floor binds nothing, so that static arms share a program
        return _Named("selector", {"selector.name": "static", "selector.start": name, "selector.floor": "2-2-2"})
    if name in SELECTORS:
        return _Named("selector", {"selector.name": name})
    if name in COMPRESSORS:
        return _Named("compressor", {"selector.name": "static", "selector.floor": "2-2-2", "compressor.name": name})
    raise ConfigError(f"known: a precision such as '8-8-8', {', '.join((*SELECTORS, *COMPRESSORS))}")


def _split(text: str) -> list[str]:
    """The assignments in "a=1,b=(2,3)": commas within parentheses separate nothing."""
    return re.split(r",(?![^(]*\))", text)


def _assignment(text: str, section: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    field = name if "." in name else f"{section}.{name}"
    if not equals:
        raise ConfigError(f"{show(text)} is not of the form FIELD=VALUE")
    if field not in FIELDS:
        raise ConfigError(unknown_field(field))
    if field.partition(".")[0] not in SECTIONS:
        raise ConfigError(f"{field} is the same for all arms; theirs: fields of {', '.join(SECTIONS)}")
    return field, schema.parse(field, value)


def _require_reached(config: Config, expanded: Mapping[str, Config]) -> None:
    """Raise ConfigError for a field that would change nothing: its section names no entry, and every arm does."""
    for section in NAMED:
        chosen = config[section].name != FIELDS[f"{section}.name"].default
        if chosen or any(one[section].name == config[section].name for one in expanded.values()):
            continue
        for field in _entrys_own(section):
            value = schema.get(config, field)
            if value != FIELDS[field].default:
                arm = next(iter(expanded))
                raise ConfigError(
                    f"{field}={show(value)} reaches no arm, as each names a {section} of its own; say it in an arm, "
                    f"such as {show(arm + (',' if ':' in arm else ':') + field + '=...')}"
                )


def _entrys_own(section: str) -> list[str]:
    """The fields of a section that belong to the entry that it names: all but `recipe.phases` and the name."""
    return [
        name for name in FIELDS if name.startswith(f"{section}.") and name not in (f"{section}.name", "recipe.phases")
    ]


def _reset(config: Config, section: str) -> None:
    """The fields at their defaults that belong to an entry which is no longer named."""
    for name in _entrys_own(section):
        config[section][name.partition(".")[2]] = FIELDS[name].default
