"""WAGE: weights, activations, gradients and errors of a few bits, and an integer master model.

The master m is a whole number |m| <= 2^(kG-1) - 1, weights are m * sigma(kG), and with g the sum of gradients over
the batch

    n = SR(eta * g / Shift(max|g|)),   m <- clip(m - n)

Each weight tensor has its own Shift. Source: Wu et al., ICLR 2018 (arXiv 1802.04680), section 3.3.4.
"""

import functools
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from halo_jax.numerics.quantize import shift, step_size, stochastic_round, uniform_like
from halo_jax.numerics.wage import Numerics
from halo_jax.parameters import bits_or_none, rates, real, whole
from halo_jax.recipes.base import LOSSES, Recipe

# Paper: 8, 1, 1/8 for 60, 20, 20 of 100 rounds.
LEARNING_RATES = (8.0, 1.0, 0.125)


def wage_update(
    gradient_bits: int = 8, clip_bits: str = "gradient", shift_mode: str = "round"
) -> optax.GradientTransformationExtraArgs:
    """The WAGE step as an optax transformation without state.

    `update(gradients, state, params, *, key, learning_rate, precision=None)` returns updates that
    `optax.apply_updates` adds to parameters in [-1, 1]; parameters on the grid of `gradient_bits` stay on it.

    Args:
      gradient_bits: kG, of the master weights and their steps, 8 to 12.
      clip_bits: the grid that bounds the master: `gradient`, or `weights`, the bound of WAGE's code instead of its
        paper, for which `update` reads `precision`.
      shift_mode: how Shift picks its power of two, `round` or `ceil`.
    """

    def update(updates, state, params=None, **extra):
        key, learning_rate, precision = extra["key"], extra["learning_rate"], extra.get("precision")
        if params is None:
            raise ValueError("wage_update needs params: update(gradients, state, params, key=..., learning_rate=...)")
        if clip_bits == "weights" and precision is not None and jnp.ndim(precision.weights):
            raise ValueError("clip_bits='weights' needs one number of weight bits for all layers")
        bound = 1 - step_size(precision.weights if clip_bits == "weights" and precision else gradient_bits)

        step = functools.partial(
            weight_update, learning_rate=learning_rate, bits=gradient_bits, bound=bound, shift_mode=shift_mode
        )
        return jax.tree.map(step, updates, params, uniform_like(key, updates)), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def weight_update(
    gradient: jax.Array,
    weight: jax.Array,
    noise: jax.Array,
    *,
    learning_rate: Any,
    bits: int = 8,
    bound: Any = 1 - 2.0**-7,
    shift_mode: str = "round",
) -> jax.Array:
    """What one tensor changes by: clip(W - sigma(kG) * SR(eta * g / Shift(max|g|))) - W.

    Args:
      gradient: g, the sum over the batch, float32 of any shape.
      weight: W, on the grid of `bits`, float32 of that shape.
      noise: u of stochastic rounding, float32 of that shape in [0, 1).
      learning_rate: eta, a number or traced float32 `[]`.
      bits: kG.
      bound: the largest weight.
      shift_mode: how Shift picks its power of two, `round` or `ceil`.

    Returns:
      float32 of the same shape, to be added to the weight.
    """
    scaled = learning_rate * (gradient / shift(jnp.max(jnp.abs(gradient), initial=0.0), shift_mode))
    return jnp.clip(weight - stochastic_round(scaled, noise) * step_size(bits), -bound, bound) - weight


def to_codes(params: Any, bits: int = 8) -> Any:
    """Float weights in [-1, 1] -> master codes, rounded half to even and clipped.

    Args:
      params: float32 weights, any tree.
      bits: kG, 8 to 12.

    Returns:
      The same tree of int8, int16 above 8 bits.
    """
    scale = 2 ** (bits - 1)
    dtype = jnp.int8 if bits <= 8 else jnp.int16
    return jax.tree.map(lambda w: jnp.clip(jnp.round(w * scale), 1 - scale, scale - 1).astype(dtype), params)


def from_codes(model: Any, bits: int = 8) -> Any:
    """Master codes -> float32 weights, exact."""
    return jax.tree.map(lambda m: m.astype(jnp.float32) * 2.0 ** (1 - bits), model)


def wage(
    *,
    loss: Literal["sse", "cross_entropy"] = "sse",
    gradient_bits: Annotated[int, whole(8, 12)] = 8,
    clip_bits: Literal["gradient", "weights"] = "gradient",
    min_limit: Annotated[float, real(0, 1, above=True)] = 0.75,
    input_bits: Annotated[int, bits_or_none()] = 0,
    shift: Literal["round", "ceil"] = "round",
    error_rounding: Literal["nearest", "stochastic"] = "nearest",
    order: Literal["wage", "neurosim"] = "wage",
    aggregation: Literal["stochastic", "nearest", "none"] = "stochastic",
    learning_rates: Annotated[tuple[float, ...], rates()] = LEARNING_RATES,
    exact: bool = True,
) -> Recipe:
    """The paper's low-precision training; every argument is a choice listed in the README (A1 to A15).

    Args:
      loss: of training (Choice A10).
      gradient_bits: kG, of the master weights and their steps (A2).
      clip_bits: the grid that bounds the master (A4).
      min_limit: L_min of initial weights and layer scale (A1).
      input_bits: of the input image; 0: the client's activation bits (A9).
      shift: the power of two that normalises errors and gradients (A11).
      error_rounding: of errors (A11).
      order: quantise after or before pooling and ReLU (A15).
      aggregation: how the server rounds to the master's grid; none keeps float32 (A7).
      learning_rates: one for each phase of the schedule.
      exact: sums of products are exact for any input; else plain float32 sums run where they are faster.
    """
    floating = aggregation == "none"
    return Recipe(
        numerics=Numerics(
            min_limit=min_limit,
            order=order,
            input_bits=input_bits,
            shift=shift,
            error_rounding=error_rounding,
            exact=exact,
        ),
        learning_rates=learning_rates,
        encode=(lambda params: params) if floating else (lambda params: to_codes(params, gradient_bits)),
        decode=(lambda model: model) if floating else (lambda model: from_codes(model, gradient_bits)),
        loss=LOSSES[loss],
        optimizer=wage_update(gradient_bits, clip_bits, shift),
        model_bits=32 if floating else gradient_bits,
        rounding=aggregation,
        low_precision=True,
        crossbars=True,
    )
