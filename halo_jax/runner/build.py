"""From the names in a config to the stages of a run: tables are asked here, and sizes are held against the data."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from halo_jax import datasets
from halo_jax.compressors.base import size_of
from halo_jax.config import Config, ConfigError, cohort_size, naming, show
from halo_jax.federation.augment import make_augment
from halo_jax.federation.clients import place, resolve_executor
from halo_jax.federation.evaluation import make_evaluate
from halo_jax.federation.local_training import Images, Shard, make_local_train
from halo_jax.federation.partition import Partition, partition
from halo_jax.federation.round import FederatedData, Stages
from halo_jax.federation.virtual_clock import Clock, make_clock
from halo_jax.models import layer_shapes
from halo_jax.numerics.contraction import check_kernels
from halo_jax.recipes import Recipe
from halo_jax.runner.lookup import (
    check_names,
    make_compressor,
    make_model,
    make_platform,
    make_recipe,
    make_selector,
    phase_of_rounds,
)
from halo_jax.types import CLEAN, Constraint, Cost, Demand, Noise, Precision, Stream, stream

INT32_MAX = 2**31 - 1  # the server's exact sum, the bits of a message and the images a client has seen are int32
_MESSAGE_BITS = 64  # a weight, at most: topk sends a place and a number


class Parts(NamedTuple):
    """Everything that an arm runs on."""

    recipe: Recipe
    module: nn.Module
    stages: Stages
    data: FederatedData
    test: Images
    evaluate: Callable
    evaluate_on: Callable[[str], Callable]  # the same on another executor
    model: Any  # the server's first model
    learning_rates: np.ndarray  # float32 [R], one a round
    executor: str
    executor_reason: str
    num_classes: int


def assemble(config: Config) -> Parts:
    """The parts of an experiment without arms: see `assemble_all`."""
    return assemble_all({"": config})[""]


def assemble_all(
    configs: Mapping[str, Config], load: Callable[..., datasets.Dataset] = datasets.load, *, first_models: bool = True
) -> dict[str, Parts]:
    """Load the data once, build the stages of every arm, and check sizes; nothing is written.

    The arms' configs may differ in the sections that `arms` names. Data come from `load`. Without `first_models` only
    sizes are checked: the server's models are shapes, no numbers.

    Raises:
      ConfigError: a name or a size does not fit, one line.
      DatasetError: the data are missing or wrong, one line.
    """
    for arm, one in configs.items():
        with naming(arm):
            check_names(one)
    try:
        check_kernels()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    config = next(iter(configs.values()))
    root = jax.random.key(config.seed)
    examples = config.train_examples, config.test_examples, config.validation_examples
    dataset = load(config.dataset, config.data_dir, *examples)
    executor, reason = resolve_executor(
        config.executor, jax.default_backend(), jax.device_count(), cohort_size(config), config.chunk_size
    )
    if jax.process_count() > 1 and executor != "shard":
        raise ConfigError(f"executor={config.executor!r}; allowed with several processes: shard or auto")
    data = place(_federated_data(list(configs.values()), dataset, root), executor)
    test = place(Images(dataset.test_images, jnp.asarray(dataset.test_labels)), executor)
    batch_size = min(config.batch_size, data.shards.indices.shape[1])  # more would be padding only
    image_shape, parts, alike = dataset.train_images.shape[1:], {}, {}
    for arm, one in configs.items():
        with naming(arm):
            known = json.dumps([one.recipe.to_dict(), one.noise.to_dict(), one.evaluation.batch_size])
            if known not in alike:
                sizes = image_shape, dataset.num_classes, len(dataset.test_labels)
                alike[known] = _training(one, *sizes, executor, first_models)
            recipe, module, evaluate_on, evaluate, model = alike[known]
            stages = _stages(one, recipe, module, model, image_shape, dataset.num_classes, batch_size)
            rates = learning_rates(one, recipe)
        own = data._replace(clocks=place(_clocks(one, data.num_examples), executor))
        shared = executor, reason, dataset.num_classes
        parts[arm] = Parts(recipe, module, stages, own, test, evaluate, evaluate_on, model, rates, *shared)
    return parts


def _training(
    config: Config, image_shape: tuple[int, ...], num_classes: int, test_size: int, executor: str, first: bool
):
    """What depends on recipe and noise alone: the recipe, the network, its evaluation, and the server's first model."""
    recipe = make_recipe(config)
    noises = noise_of(config, "training"), noise_of(config, "inference"), CLEAN
    module, tested, clean = (_module(config, num_classes, recipe, noise) for noise in noises)
    image, root = jnp.zeros((1, *image_shape)), jax.random.key(config.seed)
    unoptimised = {"xla_backend_optimization_level": 0}  # runs once: compiling it is all it costs

    def first_model(key: jax.Array) -> Any:
        return recipe.encode(clean.init(key, image, Precision(8, 8, 8))["params"])

    try:
        model = jax.eval_shape(first_model, root)
        _check_payload(config, model, recipe.model_bits)
    except ValueError as error:  # images that are too small for the model
        raise ConfigError(str(error)) from error
    except Exception as error:  # a network of a user's own may raise anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        sizes = "x".join(map(str, image_shape))
        raise ConfigError(f"model={config.model!r} cannot take images of {sizes}: {reason}") from error
    size = min(config.evaluation.batch_size, test_size)
    evaluate_on = functools.partial(make_evaluate, tested, recipe, size, noise=noises[1])
    if first:
        model = jax.jit(first_model, compiler_options=unoptimised)(stream(root, Stream.INIT))
    return recipe, module, evaluate_on, evaluate_on(executor), model


def noise_of(config: Config, phase: Literal["training", "inference"]) -> Noise:
    """The noise that acts in a phase."""
    fields = config.noise.to_dict()
    return Noise(**fields) if fields.pop("during") in ("both", phase) else CLEAN


def _module(config: Config, num_classes: int, recipe: Recipe, noise: Noise) -> nn.Module:
    """The network with noise in its crossbars."""
    if noise.in_crossbars and not recipe.crossbars:
        field = "weights" if noise.weights else "errors"
        raise ConfigError(
            f"noise.{field}={config.noise[field]:g} is noise of crossbars, which recipe.name={config.recipe.name!r} "
            "does not use; allowed: a recipe that does, such as recipe.name='wage', or noise.inputs"
        )
    return make_model(config, num_classes, config.width, numerics=recipe.numerics.with_noise(noise))


def learning_rates(config: Config, recipe: Recipe) -> np.ndarray:
    """The learning rate of every round, float32 `[R]`: one per phase, phases by their share of the rounds."""
    rates, phases = recipe.learning_rates, config.schedule.phases
    if len(rates) != len(phases):
        raise ConfigError(
            f"schedule.phases={show(phases)} has {len(phases)} entries; allowed: {len(rates)}, one per rate"
        )
    return np.asarray(rates, np.float32)[phase_of_rounds(config)]


def _check_payload(config: Config, model: Any, bits: int, about: str = "") -> None:
    weights = size_of(model)
    if weights * bits > INT32_MAX:
        raise ConfigError(
            f"width={config.width:g} gives {config.model} {weights} weights of {about}{bits} bits; "
            f"allowed: at most {INT32_MAX // bits}, so that the bits of a message can be counted"
        )


def deal(config: Config, dataset: datasets.Dataset, root: jax.Array) -> Partition:
    """Who holds which training images. Raises ConfigError, one line, where they cannot be dealt so."""
    labels, clients = dataset.train_labels, config.num_clients
    if clients > len(labels):
        raise ConfigError(f"num_clients={clients}; allowed: at most the {len(labels)} training images")
    try:
        return partition(
            **config.partition, labels=labels, num_clients=clients, key=root, writers=dataset.train_writers
        )
    except ValueError as error:
        raise ConfigError(f"partition.name={config.partition.name!r}: {error}") from error


def _federated_data(configs: Sequence[Config], dataset: datasets.Dataset, root: jax.Array) -> FederatedData:
    config = configs[0]
    parts = deal(config, dataset, root)
    total, largest = (
        int(np.sort(parts.num_examples)[-cohort_size(config) :].sum()),
        max(_largest_code(one) for one in configs),
    )
    if total * largest > INT32_MAX:
        limit = INT32_MAX // largest
        raise ConfigError(
            f"{total} training images in one cohort; allowed: at most {limit}, so that the server's sum is exact"
        )
    seen = int(parts.num_examples.max())
    if config.local_epochs * seen > INT32_MAX:
        raise ConfigError(
            f"local_epochs={config.local_epochs} for a client of {seen} images; "
            f"allowed: at most {INT32_MAX // seen}, so that the images it sees can be counted"
        )
    return FederatedData(
        images=Images(jax.tree.map(jnp.asarray, dataset.train_images), jnp.asarray(dataset.train_labels)),
        shards=Shard(jnp.asarray(parts.indices), jnp.asarray(parts.mask)),
        num_examples=jnp.asarray(parts.num_examples),
        demands=make_demands(config),
        clocks=_clocks(config, parts.num_examples),
    )


def _largest_code(config: Config) -> int:
    """The largest whole number that a model of the config's recipe holds; 127 where it holds floats."""
    bits = make_recipe(config).model_bits
    return 2 ** ((bits if bits < 32 else 8) - 1) - 1


def _clocks(config: Config, num_examples: Any) -> Clock:
    return make_clock(np.asarray(num_examples) * config.local_epochs, **config.clock)


def make_demands(config: Config) -> Demand:
    """What each client asks of its hardware, stacked `[N]`."""
    demand, clients = config.demand, config.num_clients
    counts = (demand.energy_clients, demand.latency_clients, demand.area_clients)
    groups = np.repeat([Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA], counts)
    constraint = np.full(clients, Constraint.NONE, np.int32)
    constraint[: len(groups)] = groups

    def limits(values: Sequence[float]) -> jax.Array:
        one_each = np.broadcast_to(np.array(values or (0,), np.float32), clients)
        return jnp.asarray(np.where(one_each > 0, one_each, np.inf))

    if demand.weights:
        weights = np.broadcast_to(np.array(demand.weights, np.float32).reshape(-1, 3), (clients, 3))
    else:
        weights = constraint[:, None] == np.array([Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA])
    return Demand(
        constraint=jnp.asarray(constraint),
        budget=Cost(*(limits(demand[metric]) for metric in Cost._fields)),
        weights=jnp.asarray(weights, jnp.float32),
    )


def _stages(
    config: Config,
    recipe: Recipe,
    module: nn.Module,
    model: Any,
    image_shape: tuple[int, ...],
    num_classes: int,
    batch_size: int,
) -> Stages:
    try:
        layers = layer_shapes(make_model(config, num_classes, config.hardware.width), image_shape)
        chip = make_platform(config)
        chip.bill(layers)  # a network that is too large to be counted says so here
    except ValueError as error:
        raise ConfigError(str(error)) from error
    compressor = make_compressor(config, recipe)
    if compressor.carries != "model":
        _check_payload(config, model, _MESSAGE_BITS, "up to ")
    try:
        jax.eval_shape(lambda model: compressor.server.init(recipe.decode(model)), model)
    except ValueError as error:  # a network that this compressor cannot serve
        raise ConfigError(f"compressor.name={config.compressor.name!r}: {error}") from error
    return Stages(
        local_train=make_local_train(
            module,
            recipe,
            batch_size,
            config.local_epochs,
            view=compressor.view,
            augment=make_augment(config.augment, image_shape),
            noise=noise_of(config, "training"),
        ),
        selector=make_selector(config),
        compressor=compressor,
        cost_fn=lambda precision: chip.evaluate(layers, precision),
    )
