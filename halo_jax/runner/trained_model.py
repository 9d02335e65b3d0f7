"""A trained model outside of any run: its predictions, weights and codes, and the file that holds them all."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from halo_jax.config import Config, ConfigError, show
from halo_jax.config.arms import recorded_of_arm
from halo_jax.datasets.arrays import images_of
from halo_jax.datasets.base import DatasetError
from halo_jax.federation.evaluation import make_logits
from halo_jax.records import model_file
from halo_jax.records.model_file import ModelFile
from halo_jax.records.model_record import ModelRecord
from halo_jax.runner.build_network import make_module, noise_of
from halo_jax.runner.lookup import make_recipe
from halo_jax.types import Precision, is_precision

_PRECISIONS = "an hj.Precision of whole numbers or a text such as '6-4-8', 2 to 8 bits each"


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedModel:
    """The server's model after a round, as `hj.load` reads it; arrays are NumPy's, in trees of names.

    Attributes:
      config: of the arm that has trained it.
      module: the linen network, with the noise of inference where the config has some. It takes float32 images in
        [-1, 1], pixel / 127.5 - 1, and a precision: `module.apply({"params": params}, images, precision)`.
      params: the weights, float32.
      codes: what travels, int8, or int16 above 8 bits; None where the recipe trains float32.
      image_shape: (H, W, C) of its images.
      num_classes: K, its logits.
      precision: the bits at which the run evaluates it.
      round: after which round it is the server's.
    """

    config: Config
    module: nn.Module
    params: Any
    codes: Any
    image_shape: tuple[int, int, int]
    num_classes: int
    precision: Precision
    round: int

    def __repr__(self) -> str:
        pixels = "x".join(map(str, self.image_shape))
        made = f"{self.config.model} of recipe {self.config.recipe.name}, {pixels} -> {self.num_classes} classes"
        return f"<TrainedModel {made}, at {self.precision}, after round {self.round}>"

    def predict(self, images: Any, precision: Precision | str | None = None) -> np.ndarray:
        """The class of each image: the largest logit, of equal ones the first; -1 where a logit is NaN.

        On all test images of the run in one call, these are the answers that its accuracy counts.

        Args:
          images: as `logits` takes them.
          precision: likewise.

        Returns:
          int32 `[B]`.

        Raises:
          DatasetError, ConfigError: as `logits`.
        """
        logits = self.logits(images, precision)
        return np.where(np.isnan(logits).any(axis=1), -1, logits.argmax(axis=1)).astype(np.int32)

    def logits(self, images: Any, precision: Precision | str | None = None) -> np.ndarray:
        """The logits of each image, in batches of `config.evaluation.batch_size`.

        Where the config has noise of inference it acts here as in the run's evaluation after this round: one draw for
        the weights, and one for each place in `images`. A number of images that is new is compiled for.

        Args:
          images: uint8 `[B, H, W, C]`, or what NumPy makes that of; C may be missing where it is 1.
          precision: the bits of weights, activations and errors, of which the last has no meaning here; None is the
            run's own, `precision`. Recipes without low precision ignore it.

        Returns:
          float32 `[B, K]`.

        Raises:
          DatasetError: the images are of another shape or type, one line.
          ConfigError: the precision is none, one line.
        """
        pixels = images_of("images", images)
        if pixels.shape[1:] != self.image_shape:
            sizes = ", ".join(map(str, self.image_shape))
            raise DatasetError(f"images: found {pixels.dtype} {pixels.shape}; right: uint8 [B, {sizes}]")
        bits = Precision(*map(jnp.int32, self.precision if precision is None else _checked(precision)))
        if not len(pixels):
            return np.zeros((0, self.num_classes), np.float32)
        key, round = jax.random.key(self.config.seed), jnp.int32(self.round)
        return np.asarray(self._logits(self.params, bits, pixels, key, round))

    def save(self, path: str | Path) -> None:
        """Write the model to a `.safetensors` file, which `hj.load` reads back to the same bits without the run folder.

        Other programs read its tensors, too: `records.model_file` says what the metadata hold.

        Raises:
          RecordError: the file cannot be written; it then holds what it held before.
        """
        tensors, grids = named(self.params), {}
        if self.codes is not None:
            tensors, grids = named(self.codes), self._grids(named(self.codes), named(self.params))
        record = ModelRecord(self.image_shape, self.num_classes, str(self.precision))
        model_file.write(Path(path), ModelFile(tensors, grids, recorded_of_arm(self.config), record, self.round))

    @functools.cached_property
    def _logits(self) -> Callable[..., jax.Array]:
        return make_logits(self.module, self.config.evaluation.batch_size, noise_of(self.config, "inference"))

    def _grids(self, codes: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
        """The bits of each tensor's codes, and the scale that makes weights of them where one number does."""
        recipe = make_recipe(self.config)
        of_one = named(recipe.decode(jax.tree.map(np.ones_like, self.codes)))
        grids: dict[str, dict[str, Any]] = {name: {"bits": recipe.model_bits} for name in codes}
        for name, grid in grids.items():
            scale = np.max(of_one[name], initial=0)
            if np.array_equal(codes[name].astype(np.float32) * scale, weights[name]):
                grid["scale"] = float(scale)
        return grids


def trained_model(config: Config, record: ModelRecord, model: Any, round: int) -> TrainedModel:
    """A model outside of any run.

    Args:
      config: of one arm.
      record: what the network takes and gives.
      model: the server's, in the recipe's dtype.
      round: after which round.

    Raises:
      ConfigError: the config has a value that the network or the recipe refuses, one line.
    """
    recipe = make_recipe(config)
    holds_codes = all(np.issubdtype(leaf.dtype, np.integer) for leaf in jax.tree.leaves(model))
    return TrainedModel(
        config=config.lock(),
        module=make_module(config, record.num_classes, recipe, noise_of(config, "inference")),
        params=jax.tree.map(np.asarray, recipe.decode(model)),
        codes=jax.tree.map(np.asarray, model) if holds_codes else None,
        image_shape=record.image_shape,
        num_classes=record.num_classes,
        precision=Precision.parse(record.precision),
        round=round,
    )


def named(tree: Any) -> dict[str, Any]:
    """The tensors of a model by name, such as "QuantConv_0.kernel", in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {".".join(str(getattr(key, "key", key)) for key in path): leaf for path, leaf in leaves}


def unnamed(tensors: Mapping[str, Any], like: Any) -> Any:
    """The reverse of `named`, in the structure of `like`. Raises ValueError unless names, shapes and dtypes are its."""
    expected = named(like)
    if missing := [name for name in (*expected, *tensors) if name not in tensors or name not in expected]:
        raise ValueError(f"tensor {show(missing[0])} is in one of file and network only")
    for name, leaf in expected.items():
        found = tensors[name]
        if found.shape != leaf.shape or found.dtype != leaf.dtype:
            right = f"{leaf.dtype} {leaf.shape}"
            raise ValueError(f"tensor {show(name)} is {found.dtype} {found.shape}; right: {right}")
    return jax.tree.unflatten(jax.tree.structure(like), [tensors[name] for name in expected])


def _checked(precision: Any) -> Precision:
    """A precision that was asked for. Raises ConfigError."""
    if isinstance(precision, str) and is_precision(precision, 2, 8):
        return Precision.parse(precision)
    if isinstance(precision, Precision) and is_precision(str(precision), 2, 8):
        return precision
    raise ConfigError(f"precision={show(precision)}; allowed: {_PRECISIONS}")
