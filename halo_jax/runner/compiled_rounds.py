"""The compiled programs of an experiment: runs that differ only in data share one, and may go through it stacked.

A stack is one call a round for several runs: a run is lifted over the runs as a client is over the clients, so
devices share whole runs, and each lifts its clients as a single device does.
"""

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.config import Config, schema
from halo_jax.config.arms import fields_of
from halo_jax.federation import clients
from halo_jax.federation.evaluation import Scores
from halo_jax.federation.round import ClientResults, FederationState, make_run_round
from halo_jax.runner.build import Parts
from halo_jax.selectors import SELECTORS
from halo_jax.types import Precision


class Arm(NamedTuple):
    """An arm: its name, its config, what it runs on, and the folder of its records."""

    name: str
    config: Config
    parts: Parts
    folder: Path
    key: str  # its name, after the folders of point and seed where there are any
    label: str  # what a person reads


class Program:
    """A round and an evaluation of arms that go on together: the arrays of several have a leading axis of arms."""

    def __init__(self, arms: Sequence[Arm], run_round: Callable[..., Any], evaluate: Callable[..., Any]):
        data = [arm.parts.data for arm in arms]
        self._arms, self._run_round, self._evaluate = arms, run_round, evaluate
        self._own = self.pack([one._replace(images=()) for one in data])
        self._images, self._test = data[0].images, arms[0].parts.test
        self._keys = self.pack([jax.random.key(arm.config.seed) for arm in arms])
        self._bits = self.pack([jax.tree.map(jnp.int32, evaluation_precision(arm.config)) for arm in arms])

    def pack(self, trees: Sequence[Any]) -> Any:
        """What each arm has, as one tree."""
        if len(self._arms) == 1:
            return trees[0]
        return clients.place(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees), self._arms[0].parts.executor)

    def split(self, tree: Any) -> list[Any]:
        """The reverse of `pack`."""
        return [tree] if len(self._arms) == 1 else _split(tree)

    def run_round(self, index: int, state: FederationState) -> tuple[FederationState, ClientResults]:
        """Round `index`, from 0, of all arms; the state is donated."""
        rates = self.pack([jnp.float32(arm.parts.learning_rates[index]) for arm in self._arms])
        return self._run_round(state, self._own, self._keys, rates, self._images)

    def evaluate(self, state: FederationState, round: int) -> list[Scores]:
        """The scores of every arm's model after so many rounds, which noise may depend on."""
        return self.split(self._evaluate(state.model, self._bits, self._keys, self._test, jnp.int32(round)))


@jax.jit
def _split(tree: Any) -> list[Any]:
    leaves, structure = jax.tree.flatten(tree)
    return [jax.tree.unflatten(structure, [leaf[i] for leaf in leaves]) for i in range(len(leaves[0]))]


class Programs:
    """The programs compiled so far."""

    def __init__(self):
        self._built: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}

    def of(self, arms: Sequence[Arm]) -> Program:
        """The program of arms with the same `program_key`."""
        key = f"{program_key(arms[0])} {len(arms) > 1}"
        if key not in self._built:
            self._built[key] = (_stacked if len(arms) > 1 else _alone)(arms[0])
        return Program(arms, *self._built[key])


def stacks(arms: Sequence[Arm], most: int) -> list[list[Arm]]:
    """The arms in groups of at most `most` that may go through a program together.

    Fewer arms than devices that share clients go alone, which keeps all devices busy; so do arms of several processes.
    """
    alike: dict[str, list[Arm]] = {}
    for arm in arms if most > 1 else ():
        alike.setdefault(program_key(arm), []).append(arm)
    groups = [group[i : i + most] for group in alike.values() for i in range(0, len(group), most)]
    fewest = jax.device_count() if arms[0].parts.executor == "shard" else 2
    if most == 1 or jax.process_count() > 1:
        return [[arm] for arm in arms]
    return [part for group in groups for part in ([group] if len(group) >= fewest else [[arm] for arm in group])]


def program_key(arm: Arm) -> str:
    """What arms with one program have in common: all fields that are no data, and the sizes of their data."""
    config = arm.config
    fixed = {name: schema.get(config, name) for name, field in fields_of(config).items() if field.compiled}
    if "start" in inspect.signature(SELECTORS[config.selector.name]).parameters:  # which bounds what it may pick
        fixed["selector.start"] = config.selector.start
    if config.selector.reduce_when == "learning_rate":
        fixed["schedule.phases"] = config.schedule.phases
    if config.selector.reduce_when == "plateau":
        fixed["all take part"] = schema.all_take_part(config)
    sizes = jax.tree.map(lambda leaf: leaf.shape, jax.tree.leaves(arm.parts.data))
    return json.dumps([fixed, sizes])


def evaluation_precision(config: Config) -> Precision:
    """Bits at which the server's model is tested: the config's, a static arm's own, or 8-8-8 (Choice A8)."""
    own = config.selector.start if config.selector.name == "static" else "8-8-8"
    return Precision.parse(config.evaluation.precision or own)


def _run_round_of(arm: Arm, executor: str) -> Callable[..., Any]:
    """A round with the clients' images apart from what else they have, which differs from arm to arm."""
    parts, config = arm.parts, arm.config
    cohort = schema.cohort_size(config)
    run_round = make_run_round(parts.stages, parts.recipe, cohort, executor, config.chunk_size)
    return lambda state, own, key, rate, images: run_round(state, own._replace(images=images), key, rate)


def _alone(arm: Arm) -> tuple[Callable[..., Any], Callable[..., Any]]:
    evaluate_one = arm.parts.evaluate  # without the arm, whose data would live as long as the program

    def evaluate(model, bits, key, test, round):
        return evaluate_one(model, bits, test, key, round)

    return _run_round_of(arm, arm.parts.executor), evaluate


def _stacked(arm: Arm) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The same over arms: `clients.lift` once more, in which each device lifts clients as if it were the only one.

    Choice: a CPU takes one run after the other: bits stay those of a run alone, in float32 too, where vmap would add in
    another order, and a step of padding costs nothing. Accelerators take all at once.
    """
    parts, config, backend = arm.parts, arm.config, jax.default_backend()
    outer = inner = parts.executor
    if outer == "shard":
        cohort = schema.cohort_size(config)
        inner, _ = clients.resolve_executor("auto", backend, 1, cohort, config.chunk_size)
    elif backend == "cpu":
        outer = "map"
    lift = lambda one: clients.lift(one, outer, config.chunk_size)  # noqa: E731
    run_rounds = lift(_run_round_of(arm, inner))
    evaluate_one = parts.evaluate_on("map")
    evaluates = lift(lambda model, bits, key, test, round: evaluate_one(model, bits, test, key, round))

    def run_round(states, own, keys, rates, images):
        return run_rounds((states, own, keys, rates), (images,))

    def evaluate(models, bits, keys, test, round):
        return evaluates((models, bits, keys), (test, round))

    placed = clients.placement(outer)
    return jax.jit(run_round, donate_argnums=0, out_shardings=placed), jax.jit(evaluate, out_shardings=placed)
