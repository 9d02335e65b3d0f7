"""From the names in a config to all that its arms run on; sizes are held against the data."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from halo_jax import datasets
from halo_jax.compressors.base import Compressor
from halo_jax.config import Config, ConfigError, cohort_size, naming, show
from halo_jax.datasets import Dataset
from halo_jax.federation.augment import make_augment
from halo_jax.federation.clients import place, resolve_executor
from halo_jax.federation.evaluation import Evaluate
from halo_jax.federation.local_data import Images
from halo_jax.federation.local_training import LocalTrain, make_local_train
from halo_jax.federation.stages import Stages
from halo_jax.federation.state import FederatedData
from halo_jax.models import layer_shapes
from halo_jax.numerics.contraction import check_kernels
from halo_jax.recipes import Recipe
from halo_jax.runner.build_data import build_data, images_to_test, make_clocks
from halo_jax.runner.build_network import Network, build_network, check_payload, noise_of
from halo_jax.runner.lookup import (
    check_names,
    make_compressor,
    make_model,
    make_platform,
    make_selector,
    phase_of_rounds,
)
from halo_jax.selectors.base import CostFn

_MESSAGE_BITS = 64  # of one weight, at most: topk sends a place and a number


class Federation(NamedTuple):
    """All that an arm runs on.

    Attributes:
      stages: what clients and server do in a round.
      data: what the clients own, `[N]`.
      test_images: what the server's model is tested on.
      evaluate: scores a model.
      evaluate_on: executor -> the same, mapped over batches as that executor does.
      first_model: the server's, in the recipe's dtype; shapes alone where nobody asked for numbers.
      learning_rates: float32 `[R]`, one a round.
      executor: how clients are mapped over, one of `clients.EXECUTORS`.
      executor_reason: why, in a few words.
      num_classes: K.
    """

    stages: Stages
    data: FederatedData
    test_images: Images
    evaluate: Evaluate
    evaluate_on: Callable[[str], Evaluate]
    first_model: Any
    learning_rates: np.ndarray
    executor: str
    executor_reason: str
    num_classes: int


def assemble(config: Config) -> Federation:
    """What an experiment without arms runs on: see `assemble_all`."""
    return assemble_all({"": config})[""]


def assemble_all(
    configs: Mapping[str, Config], load: Callable[..., Dataset] = datasets.load, *, first_models: bool = True
) -> dict[str, Federation]:
    """Load the data once, build what every arm runs on, and check sizes; nothing is written.

    Args:
      configs: of every arm, by its name; they may differ in the fields that are of an arm.
      load: where the data come from, called as `datasets.load`.
      first_models: False only checks sizes: the server's models are shapes, no numbers.

    Raises:
      ConfigError: a name or a size does not fit, one line.
      DatasetError: the data are missing or wrong, one line.
    """
    for arm, config in configs.items():
        with naming(arm):
            check_names(config)
    _check_kernels()
    common = next(iter(configs.values()))  # of fields that are the same for all arms
    dataset = load(
        common.dataset, common.data_dir, common.train_examples, common.test_examples, common.validation_examples
    )
    executor, reason = _choose_executor(common)
    data = place(build_data(configs, dataset), executor)
    tested = place(images_to_test(dataset), executor)
    networks: dict[str, Network] = {}
    federations = {}
    for arm, config in configs.items():
        with naming(arm):
            network_key = json.dumps([config.recipe.to_dict(), config.noise.to_dict(), config.evaluation.batch_size])
            if network_key not in networks:
                networks[network_key] = build_network(config, dataset, executor, first_models)
            network = networks[network_key]
            federations[arm] = Federation(
                stages=_build_stages(config, network, dataset, data),
                data=data._replace(clocks=place(make_clocks(config, data.num_examples), executor)),
                test_images=tested,
                evaluate=network.evaluate,
                evaluate_on=network.evaluate_on,
                first_model=network.first_model,
                learning_rates=learning_rates(config, network.recipe),
                executor=executor,
                executor_reason=reason,
                num_classes=dataset.num_classes,
            )
    return federations


def _check_kernels() -> None:
    try:
        check_kernels()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _choose_executor(config: Config) -> tuple[str, str]:
    """The executor and why. Raises ConfigError where several processes cannot use it."""
    executor, reason = resolve_executor(
        config.executor, jax.default_backend(), jax.device_count(), cohort_size(config), config.chunk_size
    )
    if jax.process_count() > 1 and executor != "shard":
        raise ConfigError(f"executor={config.executor!r}; allowed with several processes: shard or auto")
    return executor, reason


def learning_rates(config: Config, recipe: Recipe) -> np.ndarray:
    """The learning rate of every round, float32 `[R]`: one per phase, phases by their share of the rounds."""
    rates, phases = recipe.learning_rates, config.schedule.phases
    if len(rates) != len(phases):
        raise ConfigError(
            f"schedule.phases={show(phases)} has {len(phases)} entries; allowed: {len(rates)}, one per rate"
        )
    return np.asarray(rates, np.float32)[phase_of_rounds(config)]


def _build_stages(config: Config, network: Network, dataset: Dataset, data: FederatedData) -> Stages:
    cost_fn = _cost_fn(config, dataset)
    compressor = _compressor(config, network)
    return Stages(
        recipe=network.recipe,
        local_train=_local_train(config, network, compressor, dataset, data),
        selector=make_selector(config),
        compressor=compressor,
        cost_fn=cost_fn,
    )


def _cost_fn(config: Config, dataset: Dataset) -> CostFn:
    """The cost of one training sample on the clients' chip, at the network's width on it."""
    try:
        priced = make_model(config, dataset.num_classes, config.hardware.width)
        layers = layer_shapes(priced, dataset.train_images.shape[1:])
        chip = make_platform(config)
        chip.bill(layers)  # a network that is too large to be counted says so here
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return functools.partial(chip.evaluate, layers)


def _compressor(config: Config, network: Network) -> Compressor:
    compressor, decode, model = make_compressor(config, network.recipe), network.recipe.decode, network.first_model
    if compressor.carries != "model":
        check_payload(config, model, _MESSAGE_BITS, "up to ")
    try:
        jax.eval_shape(lambda model: compressor.server.init(decode(model)), model)
    except ValueError as error:  # a network that this compressor cannot serve
        raise ConfigError(f"compressor.name={config.compressor.name!r}: {error}") from error
    return compressor


def _local_train(
    config: Config, network: Network, compressor: Compressor, dataset: Dataset, data: FederatedData
) -> LocalTrain:
    padded_examples = data.local_data.indices.shape[1]
    return make_local_train(
        network.module,
        network.recipe,
        min(config.batch_size, padded_examples),  # more would be padding only
        config.local_epochs,
        view=compressor.view,
        augment=make_augment(config.augment, dataset.train_images.shape[1:]),
        noise=noise_of(config, "training"),
    )
