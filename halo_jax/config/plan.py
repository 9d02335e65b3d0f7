"""The experiments inside an experiment: one for each point of its sweep, and in each of these one for each seed.

An entry of `config.sweep` is `FIELD=VALUE|VALUE|...`; entries multiply, the first changes slowest. Fields that go
together stand in one entry, separated by `;`: "width=0.125|0.25;rounds=20|40". A seed is a point of another name.
"""

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import ml_collections

from halo_jax.config import schema
from halo_jax.config.arms import expand_arms
from halo_jax.config.entries import all_fields
from halo_jax.config.errors import ConfigError, naming, show
from halo_jax.config.schema import Config, unknown_field
from halo_jax.parameters import MOST_ENTRIES

MOST_RUNS = 10_000  # points x seeds x arms
_LONGEST_FOLDER = 200  # bytes


class Experiment(NamedTuple):
    """An experiment as a tree: a leaf trains arms; a branch holds experiments, one per point of a sweep or per seed.

    Attributes:
      config: of this experiment alone; a leaf's has no sweep and no seeds.
      folder: where it lies; a child's is in that of its branch.
      point: the swept fields and their values; empty outside a sweep.
      children: the experiments in a branch, in order; a leaf has none.
    """

    config: Config
    folder: Path
    point: Mapping[str, Any]
    children: tuple["Experiment", ...]

    def leaves(self) -> Iterator["Experiment"]:
        """The experiments that train arms, in order."""
        for child in self.children:
            yield from child.leaves()
        if not self.children:
            yield self

    def branches(self) -> Iterator["Experiment"]:
        """The experiments that hold others, the root first."""
        if self.children:
            yield self
        for child in self.children:
            yield from child.branches()

    def arms(self) -> dict[str, Path]:
        """The folder of every arm of a leaf."""
        config = self.config
        return {arm: self.folder / arm for arm in config.arms} or {config.selector.name: self.folder}


def plan(config: Config, folder: Path, point: Mapping[str, Any] | None = None) -> Experiment:
    """The whole tree of an experiment, every point of it valid. Raises ConfigError, one line."""
    schema.validate(config)
    require_few(config)
    point, children = point or {}, []
    if config.sweep:
        for (name, values), child in zip(points(config.sweep).items(), _child_configs(config), strict=True):
            with naming(name, "sweep"):
                children.append(plan(child, folder / name, values))
    else:
        _require_reached(point, config)
        for seed, child in zip(config.seeds, _child_configs(config), strict=True):
            children.append(Experiment(child, folder / seed_folder(seed), point, children=()))
    return Experiment(config, folder, point, tuple(children))


def folders(config: Config, folder: Path) -> list[Path]:
    """Every folder of an experiment in `folder`: of its arms, seeds and points, the inner ones first, its own last."""
    every = innermost = [folder]
    for names in (points(config.sweep), [seed_folder(seed) for seed in config.seeds], config.arms):
        deeper = [outer / name for outer in innermost for name in names]
        every, innermost = [*deeper, *every], deeper or innermost
    return every


def seed_folder(seed: int) -> str:
    """The name of the folder of one seed, in the folder of an experiment over several."""
    return f"seed_{seed}"


def points(entries: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The points of a sweep in order: the name of their folder -> the values of the swept fields.

    A folder is named by its values alone, so a point keeps it when a sweep grows. Raises ConfigError, one line.
    """
    columns: list[list[dict[str, Any]]] = []
    for entry in entries:
        with naming(entry, "sweep"):
            columns.append(_together(entry))
    fields = [field for column in columns for field in column[0]]
    for field in fields:
        if fields.count(field) > 1:
            raise ConfigError(f"sweep says {field} in two entries; allowed: each field once")
    if math.prod(map(len, columns)) > MOST_ENTRIES:
        raise ConfigError(f"sweep has {math.prod(map(len, columns))} points; allowed: at most {MOST_ENTRIES}")
    by_folder: dict[str, dict[str, Any]] = {}
    for chosen in itertools.product(*columns) if columns else ():
        point = {field: value for values in chosen for field, value in values.items()}
        if _folder(point) in by_folder:
            raise ConfigError(f"sweep has the point {show(_folder(point))} twice; allowed: each once")
        by_folder[_folder(point)] = point
    return by_folder


def text(value: Any) -> str:
    """A value in the shortest form that a sweep reads back."""
    if isinstance(value, tuple | list):
        return f"({','.join(map(text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def label(point: Mapping[str, Any]) -> str:
    """What a table calls a point: "partition.alpha=0.1, rounds=20"."""
    return ", ".join(f"{field}={text(value)}" for field, value in point.items())


def require_few(config: Config) -> None:
    """Raise ConfigError where planning alone would take minutes."""
    sizes = {"sweep": len(points(config.sweep)), "seeds": len(config.seeds), "arms": len(config.arms)}
    runs = math.prod(size or 1 for size in sizes.values())
    if runs > MOST_RUNS:
        made_of = ", ".join(f"{size} of {field}" for field, size in sizes.items() if size)
        raise ConfigError(f"{made_of} make {runs} runs; allowed: at most {MOST_RUNS}")


def _child_configs(config: Config) -> Iterator[Config]:
    """The configs of a branch's children: each is the branch's own with some fields changed."""
    if config.sweep and "seed" in next(iter(points(config.sweep).values())) and config.seeds:
        raise ConfigError(f"sweep and seeds={show(config.seeds)} both say the seed; allowed: one of them")
    for values in points(config.sweep).values() if config.sweep else ({"seed": seed} for seed in config.seeds):
        child: Config = ml_collections.ConfigDict(config.to_dict())
        child["sweep" if config.sweep else "seeds"] = ()
        with naming(label(values) if config.sweep else "", "sweep"):
            for field, value in values.items():
                schema.put(child, field, value)
        yield child


def _require_reached(point: Mapping[str, Any], config: Config) -> None:
    """Raise ConfigError if an arm is wrong, or a value of the point reaches none."""
    arms = expand_arms(config).values()
    for field, value in point.items():
        if all(text(schema.get(arm, field)) != text(value) for arm in arms):
            raise ConfigError(f"{field} reaches no arm, as each of arms={show(config.arms)} says its own")


def _together(entry: str) -> list[dict[str, Any]]:
    """The values of one entry's fields, a dict for each position."""
    columns: dict[str, list[Any]] = {}
    for assignment in entry.split(";"):
        field, equals, values = assignment.strip().partition("=")
        if not equals:
            raise ConfigError(f"{show(assignment)} is not of the form FIELD=VALUE|VALUE|...")
        fields = all_fields()
        if field not in fields:
            raise ConfigError(unknown_field(field))
        if not fields[field].swept:
            unswept = ", ".join(name for name, about in fields.items() if not about.swept)
            raise ConfigError(f"{field} cannot be swept; allowed: any field but {unswept}")
        if fields[field].of_studies:
            raise ConfigError(f"{field} is read by studies only; precisions of a training are arms, or selector.start")
        if field in columns:
            raise ConfigError(f"{field} stands there twice")
        columns[field] = [schema.parse(field, value.strip()) for value in values.split("|")]
    sizes = {field: len(values) for field, values in columns.items()}
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{field} has {size}" for field, size in sizes.items())
        raise ConfigError(f"fields that go together have as many values each, but {counts}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _folder(values: Mapping[str, Any]) -> str:
    """A legal name of a folder for these values alone: readable, cut and told apart by digits where it is too long."""
    name = ",".join(f"{field}={quote(text(value), safe=' (),+')}" for field, value in values.items())
    if len(name) <= _LONGEST_FOLDER:
        return name
    return f"{name[: _LONGEST_FOLDER - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
