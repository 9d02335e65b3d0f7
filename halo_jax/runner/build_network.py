"""The network of an experiment in a recipe's arithmetic and noise: to train, to test, and as the first model."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from halo_jax.compressors.base import size_of
from halo_jax.config import Config, ConfigError
from halo_jax.datasets import Dataset
from halo_jax.federation.evaluation import Evaluate, make_evaluate
from halo_jax.recipes import Recipe
from halo_jax.runner.build_data import INT32_MAX
from halo_jax.runner.lookup import make_model, make_recipe
from halo_jax.types import CLEAN, Noise, Precision, Stream, stream


class Network(NamedTuple):
    """What depends on recipe and noise alone, so that arms share it.

    Attributes:
      recipe: its arithmetic.
      module: the network that clients train, with the noise of training.
      evaluate_on: executor -> `evaluate`, mapped over batches as that executor does.
      evaluate: scores a model, with the noise of inference.
      first_model: the server's, in the recipe's dtype, or its shapes.
    """

    recipe: Recipe
    module: nn.Module
    evaluate_on: Callable[[str], Evaluate]
    evaluate: Evaluate
    first_model: Any


def build_network(config: Config, dataset: Dataset, executor: str, first_model: bool = True) -> Network:
    """The network that the config names, for the images and classes of a data set.

    Args:
      config: of one arm.
      dataset: of which the shape of an image, and how many classes and test images there are, count here.
      executor: how `evaluate` is mapped over batches.
      first_model: False makes its shapes, no numbers.

    Raises:
      ConfigError: the images don't fit the network, it is too large, or the recipe has no such noise; one line.
    """
    recipe = make_recipe(config)
    inference = noise_of(config, "inference")
    trained, tested, clean = (
        make_module(config, dataset.num_classes, recipe, noise)
        for noise in (noise_of(config, "training"), inference, CLEAN)
    )
    initialise = _make_initialise(recipe, clean, dataset.train_images.shape[1:])
    model = _shapes_of_model(config, initialise, dataset.train_images.shape[1:], recipe.model_bits)
    batch_size = min(config.evaluation.batch_size, len(dataset.test_labels))
    evaluate_on = functools.partial(make_evaluate, tested, recipe, batch_size, noise=inference)
    evaluate = evaluate_on(executor)
    if first_model:
        unoptimised = {"xla_backend_optimization_level": 0}  # runs once: compiling it is all it costs
        key = stream(jax.random.key(config.seed), Stream.INIT)
        model = jax.jit(initialise, compiler_options=unoptimised)(key)
    return Network(recipe, trained, evaluate_on, evaluate, model)


def shapes_of_model(config: Config, recipe: Recipe, num_classes: int, image_shape: tuple[int, ...]) -> Any:
    """The shapes and dtypes of the server's model; no number is computed.

    Args:
      config: of one arm.
      recipe: as the config names it.
      num_classes: K, its logits.
      image_shape: (H, W, C).

    Returns:
      A tree of `jax.ShapeDtypeStruct`, in the recipe's dtype.

    Raises:
      ConfigError: the images don't fit the network, or it is too large; one line.
    """
    initialise = _make_initialise(recipe, make_module(config, num_classes, recipe, CLEAN), image_shape)
    return _shapes_of_model(config, initialise, image_shape, recipe.model_bits)


def _make_initialise(recipe: Recipe, module: nn.Module, image_shape: tuple[int, ...]) -> Callable[[jax.Array], Any]:
    """The function key -> the first model of a network without noise."""
    image = jnp.zeros((1, *image_shape))

    def initialise(key: jax.Array) -> Any:
        return recipe.encode(module.init(key, image, Precision(8, 8, 8))["params"])

    return initialise


def _shapes_of_model(
    config: Config, initialise: Callable[[jax.Array], Any], image_shape: tuple[int, ...], model_bits: int
) -> Any:
    """The shapes of the server's model. Raises ConfigError if the images don't fit it, or it is too large."""
    try:
        model = jax.eval_shape(initialise, jax.random.key(config.seed))
        check_payload(config, model, model_bits)
        return model
    except ValueError as error:  # images that are too small for the model
        raise ConfigError(str(error)) from error
    except Exception as error:  # a network of a user's own may raise anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        sizes = "x".join(map(str, image_shape))
        raise ConfigError(f"model={config.model!r} cannot take images of {sizes}: {reason}") from error


def noise_of(config: Config, phase: Literal["training", "inference"]) -> Noise:
    """The noise that acts in a phase."""
    fields = config.noise.to_dict()
    return Noise(**fields) if fields.pop("during") in ("both", phase) else CLEAN


def make_module(config: Config, num_classes: int, recipe: Recipe, noise: Noise) -> nn.Module:
    """The network that the config names, in the recipe's arithmetic, with noise in its crossbars.

    Args:
      config: of one arm.
      num_classes: K, its logits.
      recipe: as the config names it.
      noise: what acts in the phase that the network is for.

    Raises:
      ConfigError: the recipe has no crossbars that noise could be of, or the network refuses a value; one line.
    """
    if noise.in_crossbars and not recipe.crossbars:
        field = "weights" if noise.weights else "errors"
        raise ConfigError(
            f"noise.{field}={config.noise[field]:g} is noise of crossbars, which recipe.name={config.recipe.name!r} "
            "does not use; allowed: a recipe that does, such as recipe.name='wage', or noise.inputs"
        )
    return make_model(config, num_classes, config.width, numerics=recipe.numerics.with_noise(noise))


def check_payload(config: Config, model: Any, bits: int, about: str = "") -> None:
    """Raise ConfigError where the bits of a message leave int32.

    Args:
      config: of one arm, for the message.
      model: the shapes of the server's model.
      bits: what one weight takes.
      about: what is said before `bits`, such as "up to ".
    """
    weights = size_of(model)
    if weights * bits > INT32_MAX:
        raise ConfigError(
            f"width={config.width:g} gives {config.model} {weights} weights of {about}{bits} bits; "
            f"allowed: at most {INT32_MAX // bits}, so that the bits of a message can be counted"
        )
