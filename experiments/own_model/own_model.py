"""Your own network, images, chip and selector, without a change to the package: a minute on a CPU.

    python launch.py --config=experiments/own_model/own_model.py --config.data_dir=MINE.npz

MINE.npz: train_images, test_images (uint8 [D, H, W, C]), train_labels, test_labels (int32). Without: real digits.
"""

from typing import Annotated

import jax.numpy as jnp
from flax import linen as nn

import halo_jax as hj


class OwnModel(nn.Module):
    """A small ResNet without batch norm."""

    num_classes: int
    width: float = 1.0
    numerics: hj.Arithmetic | None = hj.Numerics()

    @nn.compact
    def __call__(self, images, precision=None):
        """Images [B, H, W, C] in [-1, 1], and bits for each of the 4 layers -> logits [B, classes]."""
        bits = hj.models.layer_precisions(precision, 4, self.numerics)
        conv = [hj.QuantConv(round(128 * self.width), numerics=self.numerics) for _ in range(3)]
        x = nn.relu(hj.max_pool(conv[0](images, bits[0])))
        x = x + conv[2](nn.relu(conv[1](x, bits[1])), bits[2])
        x = nn.relu(hj.max_pool(x) / 2)  # halved: activations are clipped to [-1, 1]
        return hj.QuantDense(self.num_classes, True, self.numerics)(x.reshape(len(x), -1), bits[3])


def own_selector(*, floor: hj.Precision, step: Annotated[int, hj.parameters.whole(1, 6)] = 2) -> hj.selectors.Selector:
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

    return hj.selectors.Selector(init=lambda: jnp.float32(jnp.inf), select=select)


def load(data_dir: str = "") -> hj.Dataset:
    """The images of a `.npz` file, or real digits."""
    return hj.DATASETS["npz"](data_dir) if data_dir else hj.DATASETS["digits"]()


def get_config():
    """The experiment, after what is your own has been listed in the tables."""
    hj.MODELS["own_model"], hj.DATASETS["own_images"], hj.SELECTORS["own_selector"] = OwnModel, load, own_selector
    config = hj.default_config()
    config.name, config.model, config.dataset, config.rounds = "own_model", "own_model", "own_images", 20
    config.arms, config.local_epochs, config.batch_size = ("8-8-8", "halo_ps", "own_selector"), 3, 16
    config.hardware.device = __file__.removesuffix("py") + "yaml"
    return config
