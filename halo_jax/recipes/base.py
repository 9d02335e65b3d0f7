"""What a training recipe is: how a client's model is stored, run, scored and stepped."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import optax

from halo_jax.numerics.arithmetic import Arithmetic


class Recipe(NamedTuple):
    """Everything that training needs to know about arithmetic, and what the rest of the house knows of a recipe.

    Attributes:
      numerics: what the layers compute in: the functions that they call.
      learning_rates: one per phase of the run.
      encode: float parameters -> the model that travels and that the server holds (int8 codes for `wage`).
      decode: that model -> float parameters, which are differentiated.
      loss: (logits `[B, classes]`, labels int32 `[B]`) -> non-negative terms `[B, ...]`; the loss is their sum.
      optimizer: an optax transformation whose `update` also takes `key`, `learning_rate` and `precision`.
      model_bits: bits that one weight of the travelling model takes.
      rounding: how the server rounds its average to the model's grid; `none` for float models.
      low_precision: clients' bits change what they compute; without, a precision is ignored.
      crossbars: products are of whole-number codes, as crossbars hold and kernels multiply them: so weights and errors
        may be noisy there.
    """

    numerics: Arithmetic
    learning_rates: tuple[float, ...]
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    optimizer: optax.GradientTransformationExtraArgs
    model_bits: int
    rounding: Literal["stochastic", "nearest", "none"]
    low_precision: bool
    crossbars: bool


def squared_error(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """0.5 * (logits - onehot)^2; the error at the top is logits - onehot.

    Args:
      logits: float32 `[B, classes]`.
      labels: int32 `[B]`.

    Returns:
      The terms of the loss, float32 `[B, classes]`.
    """
    return 0.5 * (logits - jax.nn.one_hot(labels, logits.shape[-1])) ** 2


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label].

    Args:
      logits: float32 `[B, classes]`.
      labels: int32 `[B]`.

    Returns:
      The terms of the loss, float32 `[B]`.
    """
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


LOSSES = {"sse": squared_error, "cross_entropy": cross_entropy}
