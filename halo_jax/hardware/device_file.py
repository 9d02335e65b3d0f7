"""Device files: one chip as YAML, every constant of it with its unit in its name; nothing is guessed or left out.

A file of a stranger is text: a regular file, small, and with few of YAML's aliases, of which a few lines can make more
than memory holds.
"""

import dataclasses
import difflib
import math
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import yaml

from halo_jax.runtime.safe_files import read_bytes
from halo_jax.runtime.visible import visible

UNITS = ("pj", "fj", "nj", "us", "ns", "s", "mm2", "um2", "mhz", "mj", "ms", "ps", "ghz")
# Above 0, as a chip is divided by its clock; and such that no cost leaves the range of float32.
_RANGES = {
    int: (1, 10**6, "a whole number from 1 to 1000000"),
    float: (1e-12, 1e12, "a number from 1e-12 to 1e12"),
}
_PLATFORM = "platform"
_MOST_BYTES = 2**16  # a file of ours has 1,300
_LONGEST = 500  # characters of what is wrong that are shown
_ALIAS, _MOST_ALIASES = re.compile(r"\*[^\s*]"), 8  # none is needed; comments may have some asterisks


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Device = TypeVar("Device", bound=_Dataclass)


def device_named(name: str, platform: str, presets: Mapping[str, Path], kind: type[Device]) -> Device:
    """A preset of the platform, or the device of a file whose path ends in .yaml.

    Args:
      name: a key of `presets`, or a path that ends in .yaml or .yml.
      platform: the platform's name, which the file has to say.
      presets: the file of each device that the platform knows.
      kind: the dataclass of its constants.

    Returns:
      The constants of the device.

    Raises:
      ValueError: no preset has the name, or what `load` refuses; one line.
    """
    if name.endswith((".yaml", ".yml")):
        return load(name, platform, kind)
    if name not in presets:
        raise ValueError(
            f"hardware.device={name!r} is no .yaml file, and is unknown to {platform}; known: {', '.join(presets)}"
        )
    return load(presets[name], platform, kind)


def load(path: str | Path, platform: str, kind: type[Device]) -> Device:
    """Read a device, a dataclass of type `kind`, from YAML: `platform: NAME`, and each field once.

    Fields are int, float, bool, or str with the metadata "one of".

    Raises:
      ValueError: one line that names the file and what is wrong in it: a field that is missing, unknown (such as one
        in another unit), twice there, or no number; or the file cannot be read.
    """
    try:
        return _device(read_bytes(path, _MOST_BYTES).decode(), platform, kind)
    except OSError as error:
        raise ValueError(f"{visible(path)}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{visible(path)}: not YAML: {error}") from error
    except ValueError as error:
        raise ValueError(f"{visible(path)}: {visible(error):.{_LONGEST}}") from error


def text_of(device: Any, platform: str) -> str:
    """The device as the text of a file that `load` reads back to the same constants."""
    return yaml.safe_dump({_PLATFORM: platform, **dataclasses.asdict(device)}, sort_keys=False)


def save(device: Any, platform: str, path: str | Path) -> None:
    """Write a device file. Raises OSError."""
    Path(path).write_text(text_of(device, platform), encoding="utf-8")


def _parsed(text: str) -> Any:
    if len(_ALIAS.findall(text)) > _MOST_ALIASES:
        raise ValueError(f"not a device: more than {_MOST_ALIASES} aliases, each a name after an asterisk")
    try:
        return yaml.safe_load(text)
    except ValueError:
        raise
    except Exception as error:  # a wrong !!tag may raise anything
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error


def _device(text: str, platform: str, kind: type[Device]) -> Device:
    values = _parsed(text)
    if not isinstance(values, dict) or _PLATFORM not in values:
        raise ValueError(f"not a device: {_PLATFORM}: {platform} is missing")
    named = values.pop(_PLATFORM)
    if named != platform:
        raise ValueError(f"{_PLATFORM}={reprlib.repr(named)}; allowed here: {platform}, as hardware.name says")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise ValueError(_unknown(str(name), list(fields)))
    names = re.findall(r"\b(\w+)[\"']?\s*:", re.sub(r"(^|\s)#.*", "", text))  # YAML would keep the last of two
    twice = [name for name in (_PLATFORM, *fields) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is there twice; allowed: each field once")
    missing = [name for name in fields if name not in values]
    if missing:
        raise ValueError(f"{missing[0]} is missing; a device has {', '.join(fields)}")
    return kind(**{name: _value(field, values[name]) for name, field in fields.items()})


def _unknown(name: str, fields: list[str]) -> str:
    stem, _, unit = name.rpartition("_")
    same = [field for field in fields if field.rpartition("_")[0] == stem and unit in UNITS]
    if same:
        return f"{name} is in another unit; right: {same[0]}, in {same[0].rpartition('_')[2]}"
    near = difflib.get_close_matches(name, fields)
    return f"unknown field {reprlib.repr(name)}; " + (
        f"did you mean {near[0]}?" if near else f"known: {', '.join(fields)}"
    )


def _value(field: Any, value: Any) -> Any:
    given = f"{field.name}={reprlib.repr(value)}"
    if field.type in _RANGES:
        least, most, allowed = _RANGES[field.type]
        number = _number(value, field.type)
        if not least <= number <= most:
            unit = field.name.rpartition("_")[2]
            without = f", in {unit}, without the unit" if unit in UNITS else ""
            raise ValueError(f"{given}; allowed: {allowed}{without}")
        return number
    if field.type is bool and not isinstance(value, bool):
        raise ValueError(f"{given}; allowed: true or false")
    if field.type is str and value not in field.metadata["one of"]:
        raise ValueError(f"{given}; allowed: {', '.join(field.metadata['one of'])}")
    return value


def _number(value: Any, kind: type) -> Any:
    """The number that a value is, or the text of one, such as 1e-3 is to YAML 1.1; otherwise not a number."""
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        return math.nan
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
