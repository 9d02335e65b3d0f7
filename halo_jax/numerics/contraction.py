"""Convolution and dense product on the grid, with their own backward rules: exact and fast.

The errors that come back are fitted to their grid; forward, input-gradient and weight-gradient contractions have exact
sums. How they run is the platform's: on a CPU client by client in canonical form (`contraction_cpu.py`), also under
`vmap`, where batched weights would become a grouped convolution, ten times slower; on an accelerator as dot products
batched over clients (`contraction_accelerator.py`). All give the same bits.

Where crossbars are noisy (`noise.py`), what they hold has more than 8 bits: it comes in two operands, each with exact
sums, and the results are added.
"""

import functools
import operator
import os
import re
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.custom_batching import sequential_vmap

from halo_jax.numerics import contraction_accelerator, contraction_cpu, native
from halo_jax.numerics.exact_sums import Operand, Window
from halo_jax.numerics.noise import program_errors, program_weights
from halo_jax.numerics.quantize import fit_errors, step_size
from halo_jax.types import CLEAN, LayerShape, Noise, Precision

# What HALO_JAX_KERNELS may ask for, all of the same bits; unset, the best that the platform has.
KERNELS = ("native", "xla", "bf16", "int8")
_NAME = re.compile(r"halo_(?:conv|dense)_k(\d+)x(\d+)_c(\d+)x(\d+)_o(\d+)x(\d+)_s(\d+)x(\d+)_d(\d+)x(\d+)")


def layer_name(operation: str, shape: LayerShape) -> str:
    """The name of a layer's node in the traced program, such as "halo_conv_k3x3_c3x128_o32x32_s1x1_d1x1"."""
    pairs = (shape.kernel, (shape.c_in, shape.c_out), shape.out_hw, shape.stride, shape.dilation)
    sizes = "_".join(f"{letter}{pair[0]}x{pair[1]}" for letter, pair in zip("kcosd", pairs, strict=True))
    return f"halo_{operation}_{sizes}"


def named_layer(name: str) -> LayerShape | None:
    """The layer that `layer_name` gave this name; None for a node of any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    kh, kw, c_in, c_out, *rest = map(int, found.groups())
    return LayerShape((kh, kw), c_in, c_out, (rest[0], rest[1]), (rest[2], rest[3]), (rest[4], rest[5]))


@functools.cache
def _node(name: str, contract: Callable[..., jax.Array], *static: Any) -> Callable[..., jax.Array]:
    """`contract` as one node of the traced program, whose name says which layer it is, however it is lowered."""

    def call(*operands):
        return contract(*operands, *static)

    call.__name__ = name
    return jax.jit(call)


def conv(
    x: jax.Array,
    w: jax.Array,
    precision: Precision | None,
    window: Window,
    exact: bool = True,
    noise: Noise = CLEAN,
    key: jax.Array | None = None,
) -> jax.Array:
    """Convolve activations with weights, both on their grids.

    Args:
      x: `[B, H, W, Cin]` on the grid of `precision.activations`.
      w: `[kh, kw, Cin, Cout]` on the grid of `precision.weights`.
      precision: traced bits, at most 8 each; the errors of the backward pass are fitted to `precision.errors` bits.
        None: plain float32 operands, errors and sums.
      window: static geometry.
      exact: exact sums for any operands; False may add in plain float32, where that is faster.
      noise: of the weights and errors that crossbars hold; needs precision.
      key: where noise is drawn from; None: no noise.

    Returns:
      `[B, Ho, Wo, Cout]`, float32.

    Raises:
      ValueError: no position of the kernel fits into the padded images.
    """
    kh, kw, c_in, c_out = w.shape
    seen = [size + sum(pair) for size, pair in zip(x.shape[1:3], window.padding, strict=True)]
    height, width = (
        (size - (k - 1) * dilation - 1) // stride + 1
        for size, k, stride, dilation in zip(seen, (kh, kw), window.strides, window.dilation, strict=True)
    )
    if min(height, width) < 1:
        raise ValueError(f"a {kh}x{kw} kernel does not fit into padded images of {seen[0]}x{seen[1]}")
    shape = LayerShape((kh, kw), c_in, c_out, (height, width), window.strides, window.dilation)
    static = exact and precision is not None, noise
    return _node(layer_name("conv", shape), _conv, window, *static)(x, w, precision, key)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _conv(x, w, precision, key, window, exact, noise):
    return _conv_forward(x, w, precision, key, window, exact, noise)[0]


def _conv_forward(x, w, precision, key, window, exact, noise):
    stored = _weights(w, precision, noise, key, _FORWARD)
    y = _contract("correlate", _activations(x, precision), stored, window=window, exact=exact)
    return y, (x, w, precision, key)


def _conv_backward(window, exact, noise, residuals, error):
    x, w, precision, key = residuals
    stored = _weights(w, precision, noise, key, _BACKWARD)
    entering, programmed = _errors(error, precision, noise, key)
    dx = _contract("input_gradient", entering, stored, window=window, in_hw=x.shape[1:3], exact=exact)
    dw = _contract(
        "weight_gradient", _activations(x, precision), programmed, window=window, kernel=w.shape[:2], exact=exact
    )
    return dx, dw, None, None


_conv.defvjp(_conv_forward, _conv_backward)


def dense(
    x: jax.Array,
    w: jax.Array,
    precision: Precision | None,
    exact: bool = True,
    noise: Noise = CLEAN,
    key: jax.Array | None = None,
) -> jax.Array:
    """Multiply activations by weights, both on their grids: `conv` with a 1x1 kernel, on P positions.

    Args:
      x: `[P, Cin]` on the grid of `precision.activations`.
      w: `[Cin, Cout]` on the grid of `precision.weights`.
      precision: traced bits, as for `conv`; None: plain float32.
      exact: exact sums for any operands; False may add in plain float32, where that is faster.
      noise: of the weights and errors that crossbars hold; needs precision.
      key: where noise is drawn from; None: no noise.

    Returns:
      `[P, Cout]`, float32.
    """
    c_in, c_out = w.shape
    shape = LayerShape((1, 1), c_in, c_out, (x.shape[0], 1))  # rows are positions: shapes are read at batch 1
    static = exact and precision is not None, noise
    return _node(layer_name("dense", shape), _dense, *static)(x, w, precision, key)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _dense(x, w, precision, key, exact, noise):
    return _dense_forward(x, w, precision, key, exact, noise)[0]


def _dense_forward(x, w, precision, key, exact, noise):
    stored = _weights(w, precision, noise, key, _FORWARD)
    return _contract("dot", _activations(x, precision), stored, exact=exact), (x, w, precision, key)


def _dense_backward(exact, noise, residuals, error):
    x, w, precision, key = residuals
    stored = _weights(w, precision, noise, key, _BACKWARD)
    entering, programmed = _errors(error, precision, noise, key)
    dx = _contract("dot", entering, [operand._replace(values=operand.values.T) for operand in stored], exact=exact)
    dw = _contract("dot", _activations(x.T, precision), programmed, exact=exact)
    return dx, dw, None, None


_dense.defvjp(_dense_forward, _dense_backward)


_FORWARD, _BACKWARD = 0, 1


def _activations(x: jax.Array, precision: Precision | None) -> Operand:
    return Operand(x) if precision is None else Operand(x, step_size(precision.activations))


def _weights(w: jax.Array, precision: Precision | None, noise: Noise, key: Any, read: int) -> list[Operand]:
    """What the crossbars hold of the weights in this pass."""
    if precision is None:
        return [Operand(w)]
    return program_weights(Operand(w, step_size(precision.weights)), precision.weights, noise, key, read)


def _errors(error: jax.Array, precision: Precision | None, noise: Noise, key: Any) -> tuple[Operand, list[Operand]]:
    """Errors on a grid of `precision.errors` bits: as they enter crossbars, and as these hold them."""
    if precision is None:
        return Operand(error), [Operand(error)]
    fitted = Operand(*fit_errors(error, precision.errors))
    return fitted, program_errors(fitted, precision.errors, noise, key)


def _contract(name: str, a: Operand, stored: list[Operand], **geometry: Any) -> jax.Array:
    """Contract with each operand that crossbars store; units are powers of two, so adding rounds once."""
    return functools.reduce(operator.add, [_contract_operand(name, a, b, **geometry) for b in stored])


def _contract_operand(name: str, a: Operand, b: Operand, **geometry: Any) -> jax.Array:
    """Contract in the form of the platform that the program is compiled for.

    Under `vmap`, also the user's own, the CPU's form runs client by client and the other is batched over clients.
    """
    asked = os.environ.get("HALO_JAX_KERNELS")
    elsewhere = functools.partial(getattr(contraction_accelerator, name), codes=asked == "int8", **geometry)
    if asked in ("bf16", "int8"):
        return elsewhere(a, b)
    cpu = native if native.serves(a, b, **geometry) else contraction_cpu
    on_cpu = sequential_vmap(functools.partial(getattr(cpu, name), **geometry))
    return lax.platform_dependent(a, b, cpu=on_cpu, default=elsewhere)


def kernels() -> str:
    """What multiplies here, for logs and records: "native", "bf16", "int8", or "xla" and the reason."""
    asked = os.environ.get("HALO_JAX_KERNELS", "")
    if asked in ("bf16", "int8") or jax.default_backend() != "cpu":
        return "int8" if asked == "int8" else "bf16"
    return f"xla: {native.why_not()}" if native.why_not() else "native"


def check_kernels() -> None:
    """Raise ValueError, one line, if the environment asks for kernels that there are not."""
    asked = os.environ.get("HALO_JAX_KERNELS", "")
    if asked not in ("", *KERNELS):
        raise ValueError(f"HALO_JAX_KERNELS={asked!r}; allowed: {', '.join(KERNELS)}, or not set")
