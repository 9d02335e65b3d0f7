"""The fields that entries of tables declare beside their code, such as `compressor.topk.share`.

A section of the config has one for each parameter of each of its table's entries, also of those that an experiment's
file registers. Only those of entries that an experiment names have a meaning for it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from halo_jax.compressors import COMPRESSORS
from halo_jax.config.errors import ConfigError, show
from halo_jax.config.fields import FIELDS
from halo_jax.hardware import PLATFORMS
from halo_jax.models import MODELS
from halo_jax.parameters import Field, declared
from halo_jax.recipes import RECIPES
from halo_jax.selectors import SELECTORS


class Section(NamedTuple):
    """A section of the config whose table has entries with parameters.

    Attributes:
      name_field: the field that names the entry.
      table: name -> entry.
      noun: what an entry is.
      of_arm: whether the arms of one experiment may name different entries.
    """

    name_field: str
    table: Mapping[str, Callable[..., Any]]
    noun: str
    of_arm: bool


SECTIONS = {
    "models": Section("model", MODELS, "model", of_arm=False),
    "recipe": Section("recipe.name", RECIPES, "recipe", of_arm=True),
    "selector": Section("selector.name", SELECTORS, "selector", of_arm=True),
    "hardware": Section("hardware.name", PLATFORMS, "platform", of_arm=False),
    "compressor": Section("compressor.name", COMPRESSORS, "compressor", of_arm=True),
}


def all_fields() -> dict[str, Field]:
    """Every field that there is by now: those of `FIELDS`, and of each registered entry. Raises ConfigError."""
    fields = dict(FIELDS)
    for section in SECTIONS:
        for entry in SECTIONS[section].table:
            fields |= of_entry(section, entry)
    return fields


def of_entry(section: str, entry: str) -> dict[str, Field]:
    """The fields of one entry; none if the table does not know it.

    Raises:
      ConfigError: the entry declares a parameter wrongly, or has a name that no section can have; one line.
    """
    about = SECTIONS[section]
    if entry not in about.table:
        return {}
    try:
        parameters = declared(about.table[entry])
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{about.noun} {show(entry)}: {error}") from error
    if parameters and (not entry.isidentifier() or f"{section}.{entry}" in FIELDS):
        allowed = f"allowed for one with parameters: a name as Python has them, and none of a field of {section}"
        raise ConfigError(f"{about.noun} {show(entry)}; {allowed}")
    return {f"{section}.{entry}.{name}": field._replace(of_arm=about.of_arm) for name, field in parameters.items()}


def is_entrys(name: str) -> bool:
    """Whether a dotted name has the form of an entry's parameter, known or not."""
    return name.count(".") == 2 and name.partition(".")[0] in SECTIONS


def is_of_arm(name: str) -> bool:
    """Whether the arms of one experiment may differ in a field, also in one of an entry that no table here knows."""
    field = all_fields().get(name)
    return field.of_arm if field else is_entrys(name) and SECTIONS[name.partition(".")[0]].of_arm


def changes_result(name: str) -> bool:
    """Whether runs that differ in a field are different runs."""
    field = all_fields().get(name)
    return field is None or field.changes_result
