"""From a model to the list of its layers, by tracing: no weights are made and nothing is computed."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from halo_jax.contraction import record_shapes
from halo_jax.types import LayerShape, Precision

_OURS = ("halo_conv", "halo_dense")


def layer_shapes(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[LayerShape, ...]:
    """The convolutions and dense layers that `module` runs on one image of `input_shape` `(H, W, C)`, in order.

    Our own layers are leaves, so shapes do not depend on how a backend lowers them; `lax` convolutions and products
    with a weight matrix that other layers make are found in the traced program.

    Raises:
      ValueError: the module has no such layer, or the input shape does not fit it.
    """
    image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    with record_shapes() as ours:
        program = jax.make_jaxpr(lambda x: module.init_with_output(jax.random.key(0), x, Precision(8, 8, 8))[0])(image)
    queue = iter(ours)
    shapes = tuple(next(queue) if eqn.params.get("name") in _OURS else _foreign(eqn) for eqn in _leaves(program.jaxpr))
    if not shapes:
        raise ValueError(f"{type(module).__name__} has no convolution or dense layer to price")
    return shapes


def _leaves(jaxpr: Any) -> Iterator[Any]:
    """The equations that are layers, in program order: ours whole, and lax convolutions and products elsewhere."""
    for eqn in jaxpr.eqns:
        if eqn.params.get("name") in _OURS or eqn.primitive.name in ("conv_general_dilated", "dot_general"):
            yield eqn
            continue
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _leaves(inner)


def _foreign(eqn: Any) -> LayerShape:
    x, w = (var.aval.shape for var in eqn.invars)
    y = eqn.outvars[0].aval.shape
    if eqn.primitive.name == "dot_general":
        contracted = math.prod(w[axis] for axis in eqn.params["dimension_numbers"][0][1])
        return LayerShape((1, 1), contracted, math.prod(w) // contracted, (math.prod(x) // contracted, 1))
    spec = eqn.params["dimension_numbers"]
    pick = lambda shape, axes: tuple(shape[axis] for axis in axes)  # noqa: E731
    pad = lambda pair: tuple(pair) if len(pair) == 2 else (*pair, 1)  # noqa: E731
    return LayerShape(
        pad(pick(w, spec.rhs_spec[2:])),
        x[spec.lhs_spec[1]],
        w[spec.rhs_spec[0]],
        pad(pick(y, spec.out_spec[2:])),
        pad(eqn.params["window_strides"]),
        pad(eqn.params["rhs_dilation"]),
        eqn.params["feature_group_count"],
    )
