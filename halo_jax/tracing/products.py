"""What a convolution or matrix product of a traced program is as a layer: its static size, and its multiply-adds.

A layer of ours is a call whose name says its shape (`contraction.named_layer`), whatever it is made of on this machine;
others are the two products of `lax`.
"""

import math
from typing import Any, NamedTuple

from halo_jax.numerics.contraction import named_layer
from halo_jax.types import LayerShape


class _Operands(NamedTuple):
    """The types of what a product multiplies, and of what comes out."""

    lhs: Any
    rhs: Any
    result: Any


def is_product(eqn: Any) -> bool:
    """Whether an equation of a jaxpr is a product of two operands: a layer of ours, or a `lax` product."""
    return eqn.primitive.name in ("conv_general_dilated", "dot_general") or _our_layer(eqn) is not None


def product_name(eqn: Any) -> str:
    """The primitive of a product, or "halo_conv" or "halo_dense" for a layer of ours."""
    return eqn.primitive.name if _our_layer(eqn) is None else eqn.params["name"].split("_k")[0]


def product_macs(eqn: Any) -> int:
    """The multiply-adds of a product: outputs times the terms of their sums."""
    lhs, rhs, result = _operands(eqn)
    ours = _our_layer(eqn)
    if ours is not None:
        return result.size * math.prod(ours.kernel) * ours.c_in
    if eqn.primitive.name == "dot_general":
        contracted_axes = eqn.params["dimension_numbers"][0][0]
        return result.size * _size_along(lhs, contracted_axes)
    outputs = rhs.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
    return result.size * rhs.size // max(outputs, 1)


def layer_shape(eqn: Any, weight: int) -> LayerShape:
    """The layer of a product whose operand number `weight`, 0 or 1, holds the weights.

    Dense: what is contracted is `c_in`, what else the weight has is `c_out`, and what else the activation has are
    positions; an axis that both share, such as one of experts, counts `groups`. A convolution over several images, as
    `vmap` or patches make it, is one of its output size that runs as often as there are images. A transposed one is the
    convolution over its dilated input.

    Raises:
      ValueError: a convolution of three dimensions, or of batch groups.
    """
    ours = _our_layer(eqn)
    if ours is not None:
        return _our_layer_lifted(eqn, ours)
    if eqn.primitive.name == "conv_general_dilated":
        return _conv(eqn)
    contracted_axes, shared_axes = (axes[weight] for axes in eqn.params["dimension_numbers"])
    x, w = _operands(eqn)[1 - weight], _operands(eqn)[weight]
    terms, groups = _size_along(w, contracted_axes), _size_along(w, shared_axes)
    return LayerShape((1, 1), groups * terms, w.size // terms, (x.size // (groups * terms), 1), groups=groups)


def _our_layer(eqn: Any) -> LayerShape | None:
    """The shape that the name of a layer of ours says, for one image."""
    return named_layer(str(eqn.params.get("name", "")))


def _operands(eqn: Any) -> _Operands:
    return _Operands(eqn.invars[0].aval, eqn.invars[1].aval, eqn.outvars[0].aval)


def _size_along(array: Any, axes: Any) -> int:
    return math.prod(array.shape[axis] for axis in axes)


def _our_layer_lifted(eqn: Any, named: LayerShape) -> LayerShape:
    """A layer of ours, of which one image passes as it is `named`: under `vmap`, with more of what got another axis."""
    x, w, y = _operands(eqn)
    copies = w.size // (math.prod(named.kernel) * named.c_in * named.c_out)
    runs = y.size // (math.prod(named.out_hw) * named.c_out * copies)
    groups = copies if x.ndim == y.ndim else 1  # else all copies of the weights see the same input
    lifted = named._replace(c_in=named.c_in * groups, c_out=named.c_out * copies, groups=groups)
    if product_name(eqn) == "halo_dense":
        return lifted._replace(out_hw=(named.out_hw[0] * runs, 1))
    return lifted._replace(repeats=runs)


def _conv(eqn: Any) -> LayerShape:
    x, w, y = _operands(eqn)
    params, spec = eqn.params, eqn.params["dimension_numbers"]
    if len(spec.rhs_spec) > 4:
        raise ValueError(f"a convolution of {len(spec.rhs_spec) - 2} dimensions cannot be priced, only of 1 or 2")
    if params["batch_group_count"] > 1:
        raise ValueError("a convolution with batch_group_count > 1 cannot be priced, only with feature groups")
    return LayerShape(
        kernel=_pair(w.shape[axis] for axis in spec.rhs_spec[2:]),
        c_in=x.shape[spec.lhs_spec[1]],
        c_out=w.shape[spec.rhs_spec[0]],
        out_hw=_pair(y.shape[axis] for axis in spec.out_spec[2:]),
        stride=_pair(params["window_strides"]),
        dilation=_pair(params["rhs_dilation"]),
        groups=params["feature_group_count"],
        repeats=x.shape[spec.lhs_spec[0]],
    )


def _pair(sizes: Any) -> tuple[int, int]:
    first, second, *_ = (*sizes, 1, 1)
    return first, second
