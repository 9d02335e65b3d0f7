"""The compiled programs of an experiment: runs that differ only in data share one, and may go through it stacked.

A stack is one call a round for several runs: a run is lifted over the runs as a client is over the clients, so
devices share whole runs, and each lifts its clients as a single device does.
"""

import functools
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from halo_jax.config import Config, schema
from halo_jax.config.arms import fields_of
from halo_jax.federation import clients
from halo_jax.federation.evaluation import Scores
from halo_jax.federation.local_data import Images
from halo_jax.federation.round import make_run_round
from halo_jax.federation.state import ClientResults, FederatedData, FederationState
from halo_jax.runner.build import Federation
from halo_jax.selectors import SELECTORS
from halo_jax.types import Precision


class Arm(NamedTuple):
    """One arm of an experiment.

    Attributes:
      name: as the experiment says it.
      config: of this arm alone.
      federation: what it runs on.
      folder: of its records.
      full_name: its name, after the folders of point and seed where there are any.
      label: what a person reads.
    """

    name: str
    config: Config
    federation: Federation
    folder: Path
    full_name: str
    label: str


class RunRounds(Protocol):
    """One round of one arm, or of several: then all but the images has a leading axis of arms."""

    def __call__(
        self, state: FederationState, data: FederatedData, key: jax.Array, rate: jax.Array, images: Images, /
    ) -> tuple[FederationState, ClientResults]:
        """Return the state after the round, and what its clients did.

        Args:
          state: of before the round; it is donated.
          data: what clients own, without the images.
          key: the arm's, made from its seed.
          rate: the learning rate of this round, float32 `[]`.
          images: the resident images, `[D, H, W, C]`, which arms share.
        """
        ...


class EvaluateModels(Protocol):
    """The scores of one arm's model, or of several: then the first three arguments have a leading axis of arms."""

    def __call__(self, model: Any, precision: Precision, key: jax.Array, images: Images, round: jax.Array, /) -> Scores:
        """Return the scores on the whole test split.

        Args:
          model: in the recipe's dtype.
          precision: the bits of the forward pass, int32 `[]` each.
          key: the arm's, which noise alone needs.
          images: the test split, `[D, H, W, C]`, which arms share.
          round: rounds done, int32 `[]`, which noise alone needs.
        """
        ...


class Functions(NamedTuple):
    """What is compiled for arms of one `program_key`."""

    run_round: RunRounds
    evaluate: EvaluateModels


class Program:
    """A round and an evaluation of arms that go on together: the arrays of several have a leading axis of arms."""

    def __init__(self, arms: Sequence[Arm], functions: Functions):
        """Stack what each of `arms` has of its own; all share the images of the first."""
        first = arms[0].federation
        self._arms, self._functions, self._executor = arms, functions, first.executor
        self._data = self.pack([arm.federation.data._replace(images=()) for arm in arms])
        self._images, self._test_images = first.data.images, first.test_images
        self._keys = self.pack([jax.random.key(arm.config.seed) for arm in arms])
        self._test_bits = self.pack([jax.tree.map(jnp.int32, evaluation_precision(arm)) for arm in arms])

    def pack(self, trees: Sequence[Any]) -> Any:
        """What each arm has, as one tree."""
        if len(self._arms) == 1:
            return trees[0]
        return clients.place(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees), self._executor)

    def split(self, tree: Any) -> list[Any]:
        """The reverse of `pack`."""
        return [tree] if len(self._arms) == 1 else _split(tree)

    def run_round(self, round: int, state: FederationState) -> tuple[FederationState, ClientResults]:
        """Round `round`, from 1, of all arms; the state is donated."""
        rates = self.pack([jnp.float32(arm.federation.learning_rates[round - 1]) for arm in self._arms])
        return self._functions.run_round(state, self._data, self._keys, rates, self._images)

    def evaluate(self, state: FederationState, round: int) -> list[Scores]:
        """The scores of every arm's model after so many rounds, which noise may depend on."""
        scores = self._functions.evaluate(state.model, self._test_bits, self._keys, self._test_images, jnp.int32(round))
        return self.split(scores)


@jax.jit
def _split(tree: Any) -> list[Any]:
    leaves, structure = jax.tree.flatten(tree)
    return [jax.tree.unflatten(structure, [leaf[i] for leaf in leaves]) for i in range(len(leaves[0]))]


class Programs:
    """The programs compiled so far."""

    def __init__(self):
        self._compiled: dict[str, Functions] = {}

    def of(self, arms: Sequence[Arm]) -> Program:
        """The program of arms with the same `program_key`."""
        key = f"{program_key(arms[0])} {len(arms) > 1}"
        if key not in self._compiled:
            self._compiled[key] = (_stacked if len(arms) > 1 else _alone)(arms[0])
        return Program(arms, self._compiled[key])


def stacks(arms: Sequence[Arm], most: int) -> list[list[Arm]]:
    """The arms in groups of at most `most` that may go through a program together.

    Fewer arms than devices that share clients go alone, which keeps all devices busy; so do arms of several processes.
    """
    if most == 1 or jax.process_count() > 1:
        return [[arm] for arm in arms]
    by_key: dict[str, list[Arm]] = {}
    for arm in arms:
        by_key.setdefault(program_key(arm), []).append(arm)
    fewest = jax.device_count() if arms[0].federation.executor == "shard" else 2
    groups: list[list[Arm]] = []
    for same_program in by_key.values():
        for group in (same_program[i : i + most] for i in range(0, len(same_program), most)):
            groups += [group] if len(group) >= fewest else [[arm] for arm in group]
    return groups


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
    sizes = jax.tree.map(lambda leaf: leaf.shape, jax.tree.leaves(arm.federation.data))
    return json.dumps([fixed, sizes])


def evaluation_precision(arm: Arm) -> Precision:
    """Bits at which the server's model is tested: the config's, those that never change, or 8-8-8 (Choice A8)."""
    config, selects = arm.config, arm.federation.stages.selector.selects
    return Precision.parse(config.evaluation.precision or ("8-8-8" if selects else config.selector.start))


def _make_round(arm: Arm, executor: str) -> RunRounds:
    """A round with the clients' images apart from what else they have, which differs from arm to arm."""
    config, stages = arm.config, arm.federation.stages
    run_round = make_run_round(stages, schema.cohort_size(config), executor, config.chunk_size)

    def with_images(state, data: FederatedData, key: jax.Array, learning_rate: jax.Array, images: Images):
        return run_round(state, data._replace(images=images), key, learning_rate)

    return with_images


def _alone(arm: Arm) -> Functions:
    federation = arm.federation
    evaluate_model = federation.evaluate  # without the arm, whose data would live as long as the program

    def evaluate(model: Any, precision: Precision, key: jax.Array, images: Images, round: jax.Array) -> Scores:
        return evaluate_model(model, precision, images, key, round)

    return Functions(_make_round(arm, federation.executor), evaluate)


def _stacked(arm: Arm) -> Functions:
    """The same over arms: `clients.lift` once more, in which each device lifts clients as if it were the only one.

    Choice: a CPU takes one run after the other: bits stay those of a run alone, in float32 too, where vmap would add in
    another order, and a step of padding costs nothing. Accelerators take all at once.
    """
    federation, config, backend = arm.federation, arm.config, jax.default_backend()
    outer = inner = federation.executor
    if outer == "shard":
        cohort = schema.cohort_size(config)
        inner, _ = clients.resolve_executor("auto", backend, 1, cohort, config.chunk_size)
    elif backend == "cpu":
        outer = "map"
    lift = functools.partial(clients.lift, executor=outer, chunk_size=config.chunk_size)
    evaluate_model = federation.evaluate_on("map")

    def evaluate_arm(model: Any, precision: Precision, key: jax.Array, images: Images, round: jax.Array) -> Scores:
        return evaluate_model(model, precision, images, key, round)

    run_arms, evaluate_arms = lift(_make_round(arm, inner)), lift(evaluate_arm)

    def run_round(states: FederationState, data: FederatedData, keys: jax.Array, rates: jax.Array, images: Images):
        return run_arms((states, data, keys, rates), (images,))

    def evaluate(models: Any, precisions: Precision, keys: jax.Array, images: Images, round: jax.Array) -> Scores:
        return evaluate_arms((models, precisions, keys), (images, round))

    placed = clients.placement(outer)
    return Functions(
        jax.jit(run_round, donate_argnums=0, out_shardings=placed), jax.jit(evaluate, out_shardings=placed)
    )
