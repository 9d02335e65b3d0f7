"""Your own network, images, chip and selector, without a change to the package: a minute on a CPU.

    python launch.py --config=experiments/own_model/own_model.py --config.data_dir=MINE.npz

MINE.npz: train_images, test_images (uint8 [D, H, W, C]), train_labels, test_labels (int32). Without: real digits.
"""

from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
from flax import linen as nn

from halo_jax import Numerics, Precision
from halo_jax.config import default
from halo_jax.datasets import DATASETS, digits, npz
from halo_jax.models import MODELS, layer_precisions
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.parameters import whole
from halo_jax.selectors import SELECTORS, Selector


class OwnModel(nn.Module):
    """A small ResNet without batch norm."""

    num_classes: int
    width: float = 1.0
    numerics: Numerics | None = Numerics()

    @nn.compact
    def __call__(self, images, precision=None):
        """Images [B, H, W, C] in [-1, 1], and bits for each of the 4 layers -> logits [B, classes]."""
        bits = iter(layer_precisions(precision, 4, self.numerics))

        def conv(x):
            return QuantConv(round(128 * self.width), numerics=self.numerics)(x, next(bits))

        x = nn.relu(max_pool(conv(images)))
        x = nn.relu(max_pool(x + conv(nn.relu(conv(x)))) / 2)  # halved: activations are clipped to [-1, 1]
        return QuantDense(self.num_classes, True, self.numerics)(x.reshape(len(x), -1), next(bits))


def own_selector(*, floor: Precision, step: Annotated[int, whole(1, 6)] = 2) -> Selector:
    """While a client's loss falls it gives up bits of its errors, if that saves a tenth of its energy.

    Args:
      floor: lowest bits that it may pick; what is not annotated with a kind comes from the runner.
      step: bits that it gives up at once; the field `selector.own_selector.step`.
    """

    def select(state, precision, demand, cost_fn, *, round, loss, key):
        lower = precision._replace(errors=jnp.maximum(precision.errors - step, floor.errors))
        saves = cost_fn(lower).energy_mj < 0.9 * cost_fn(precision).energy_mj
        errors = jnp.where(saves & (loss < state), lower.errors, precision.errors)
        return precision._replace(errors=errors), loss  # the loss is the state that comes back next round

    return Selector(init=lambda: jnp.float32(jnp.inf), select=select)


def get_config():
    """The experiment, after what is your own has been listed in the tables."""

    def load(data_dir=""):
        return npz.load(data_dir) if data_dir else digits.load()

    MODELS["own_model"], DATASETS["own_images"], SELECTORS["own_selector"] = OwnModel, load, own_selector
    config = default()
    config.name, config.model, config.dataset, config.rounds = "own_model", "own_model", "own_images", 20
    config.arms, config.local_epochs, config.batch_size = ("8-8-8", "halo_ps", "own_selector"), 3, 16
    config.hardware.device = str(Path(__file__).with_suffix(".yaml"))
    return config
