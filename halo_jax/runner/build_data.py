"""From a config and a data set to what clients own: their images, their demands, their clocks; sizes are checked."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.config import Config, ConfigError, cohort_size
from halo_jax.datasets import Dataset
from halo_jax.federation.local_data import Images, LocalData
from halo_jax.federation.partition import Partition, partition
from halo_jax.federation.state import FederatedData
from halo_jax.federation.virtual_clock import Clock, make_clock
from halo_jax.runner.lookup import make_recipe
from halo_jax.types import Constraint, Cost, Demand

INT32_MAX = 2**31 - 1  # the server's exact sum, the bits of a message and the images a client has seen are int32


def build_data(configs: Mapping[str, Config], dataset: Dataset) -> FederatedData:
    """What the clients of all arms own, dealt once; demands and clocks are those of the first arm.

    Args:
      configs: of every arm, by its name.
      dataset: as it was loaded.

    Raises:
      ConfigError: the images cannot be dealt so, or are too many to be counted exactly; one line.
    """
    config = next(iter(configs.values()))
    dealt = deal(config, dataset)
    _check_exact_sum(configs, dealt)
    _check_images_seen(config, dealt)
    return FederatedData(
        images=Images(jax.tree.map(jnp.asarray, dataset.train_images), jnp.asarray(dataset.train_labels)),
        local_data=LocalData(jnp.asarray(dealt.indices), jnp.asarray(dealt.mask)),
        num_examples=jnp.asarray(dealt.num_examples),
        demands=make_demands(config),
        clocks=make_clocks(config, dealt.num_examples),
    )


def images_to_test(dataset: Dataset) -> Images:
    """The images that the server's model is tested on."""
    return Images(dataset.test_images, jnp.asarray(dataset.test_labels))


def deal(config: Config, dataset: Dataset) -> Partition:
    """Who holds which training images. Raises ConfigError, one line, where they cannot be dealt so."""
    labels, clients = dataset.train_labels, config.num_clients
    if clients > len(labels):
        raise ConfigError(f"num_clients={clients}; allowed: at most the {len(labels)} training images")
    try:
        return partition(
            **config.partition,
            labels=labels,
            num_clients=clients,
            key=jax.random.key(config.seed),
            writers=dataset.train_writers,
        )
    except ValueError as error:
        raise ConfigError(f"partition.name={config.partition.name!r}: {error}") from error


def make_clocks(config: Config, num_examples: Any) -> Clock:
    """What each client's time and energy depend on, stacked `[N]`; `num_examples` int `[N]`."""
    return make_clock(np.asarray(num_examples) * config.local_epochs, **config.clock)


def make_demands(config: Config) -> Demand:
    """What each client asks of its hardware, stacked `[N]`."""
    demand, clients = config.demand, config.num_clients
    counts = (demand.energy_clients, demand.latency_clients, demand.area_clients)
    groups = np.repeat([Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA], counts)
    constraint = np.full(clients, Constraint.NONE, np.int32)
    constraint[: len(groups)] = groups

    def limits(values: Sequence[float]) -> jax.Array:
        for_each = np.broadcast_to(np.array(values or (0,), np.float32), clients)
        return jnp.asarray(np.where(for_each > 0, for_each, np.inf))

    if demand.weights:
        weights = np.broadcast_to(np.array(demand.weights, np.float32).reshape(-1, 3), (clients, 3))
    else:
        weights = constraint[:, None] == np.array([Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA])
    return Demand(
        constraint=jnp.asarray(constraint),
        budget=Cost(*(limits(demand[metric]) for metric in Cost._fields)),
        weights=jnp.asarray(weights, jnp.float32),
    )


def _check_exact_sum(configs: Mapping[str, Config], dealt: Partition) -> None:
    """Raise ConfigError where the server's sum over the largest clients could leave int32."""
    cohort = cohort_size(next(iter(configs.values())))
    images = int(np.sort(dealt.num_examples)[-cohort:].sum())
    largest = max(_largest_code(config) for config in configs.values())
    if images * largest > INT32_MAX:
        raise ConfigError(
            f"{images} training images in one cohort; allowed: at most {INT32_MAX // largest}, "
            "so that the server's sum is exact"
        )


def _largest_code(config: Config) -> int:
    """The largest whole number that a model of the config's recipe holds; 127 where it holds floats."""
    bits = make_recipe(config).model_bits
    return 2 ** ((bits if bits < 32 else 8) - 1) - 1


def _check_images_seen(config: Config, dealt: Partition) -> None:
    """Raise ConfigError where a client sees more images in a round than an int32 can count."""
    most = int(dealt.num_examples.max())
    if config.local_epochs * most > INT32_MAX:
        raise ConfigError(
            f"local_epochs={config.local_epochs} for a client of {most} images; "
            f"allowed: at most {INT32_MAX // most}, so that the images it sees can be counted"
        )
