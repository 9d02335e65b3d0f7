"""The contractions of a layer on a CPU in int16, and random draws: C++ compiled once on the user's machine.

A CPU multiplies and adds 16-bit whole numbers at twice the rate of float32, and all our operands are whole numbers of
8 bits, for which Winograd's algorithm is exact too: together two to three times as fast as XLA's float32 forms
(`contraction_cpu.py`), with the same bits, since both are exact. Where there is no C++ compiler, or on a CPU without
AVX2, XLA's forms run; `HALO_JAX_KERNELS=xla` asks for them. Whole numbers know no NaN: one that arithmetic makes in a
user's own model counts as 0 here (the masters of `wage` are int8 and never NaN).
"""

import functools
import os
import shlex
import shutil
import subprocess
import threading

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.numerics.exact_sums import Operand, Window, back_window
from halo_jax.numerics.native import library

_PLAIN = Window()
_ONE_AT_A_TIME = threading.Lock()
_MOST_DENSE_VALUES = 2**18  # of either operand; above, XLA's dense products are as fast or faster


def serves(a: Operand, b: Operand, *, window: Window = _PLAIN, **_: object) -> bool:
    """Whether a contraction of `contraction_cpu.py` with these arguments is one for the kernels here."""
    plain = window.strides == window.dilation == (1, 1)
    large = b.values.ndim == 2 and max(a.values.size, b.values.size) > _MOST_DENSE_VALUES
    return plain and not large and a.unit is not None and b.unit is not None and why_not() == ""


def why_not() -> str:
    """Compile and register the kernels, once per process; "" if they can run, else the reason that they don't."""
    with _ONE_AT_A_TIME:
        return _build_and_register()


@functools.cache
def _build_and_register() -> str:
    if os.environ.get("HALO_JAX_KERNELS") == "xla":
        return "HALO_JAX_KERNELS=xla"
    if jax.default_backend() != "cpu":
        return "made for CPUs"
    try:
        compiler = shlex.split(os.environ.get("CXX", "c++"))
        if not compiler or shutil.which(compiler[0]) is None:
            return "no C++ compiler; install g++ or set CXX"
        compiled = library.load(compiler)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").splitlines()
        return f"the C++ compiler failed: {next((line for line in said if 'error' in line), 'without a word')}"
    except (OSError, ValueError) as error:
        return f"kernels cannot be built: {error}"
    if not compiled.supported():
        return "this CPU has no AVX2"
    for name in library.HANDLERS:
        jax.ffi.register_ffi_target(f"halo_{name}", jax.ffi.pycapsule(getattr(compiled, name)), platform="cpu")
    return ""


def dot(a: Operand, b: Operand, *, exact: bool) -> jax.Array:
    """`[M, K]` times `[K, N]`: a 1x1 convolution over M images of one pixel."""
    x, w = a._replace(values=a.values[:, None, None]), b._replace(values=b.values[None, None])
    return correlate(x, w, window=_PLAIN, exact=exact)[:, 0, 0]


def correlate(x: Operand, w: Operand, *, window: Window, exact: bool) -> jax.Array:
    """The convolution of images with weights.

    Args:
      x: activations `[B, H, W, Cin]`.
      w: weights `[kh, kw, Cin, Cout]`.
      window: static geometry.
      exact: not read: sums are always exact here.

    Returns:
      `[B, Ho, Wo, Cout]`, float32.
    """
    del exact
    (kh, kw, _, c_out), padding = w.values.shape, window.padding
    height, width = (x.values.shape[1 + axis] + sum(padding[axis]) - (kh, kw)[axis] + 1 for axis in range(2))
    return _call("correlate", (x.values.shape[0], height, width, c_out), x, w, padding, transposed=False)


def input_gradient(error: Operand, w: Operand, *, window: Window, in_hw: tuple[int, int], exact: bool) -> jax.Array:
    """The input gradient: errors correlated with the flipped, transposed weights.

    Args:
      error: errors of the output `[B, Ho, Wo, Cout]`.
      w: weights `[kh, kw, Cin, Cout]`.
      window: static geometry of the forward pass.
      in_hw: height and width of the input.
      exact: not read: sums are always exact here.

    Returns:
      Errors of the input `[B, H, W, Cin]`, float32.
    """
    del exact
    back = back_window(error.values, w.values, window, in_hw)
    shape = (error.values.shape[0], *in_hw, w.values.shape[2])
    return _call("correlate", shape, error, w, back.padding, transposed=True)


def weight_gradient(x: Operand, error: Operand, *, window: Window, kernel: tuple[int, int], exact: bool) -> jax.Array:
    """The weight gradient: patches of the input times errors, summed over batch and positions.

    Args:
      x: activations `[B, H, W, Cin]`.
      error: errors of the output `[B, Ho, Wo, Cout]`.
      window: static geometry of the forward pass.
      kernel: kh and kw.
      exact: not read: sums are always exact here.

    Returns:
      Gradient of the weights `[kh, kw, Cin, Cout]`, float32.
    """
    del exact
    shape = (*kernel, x.values.shape[-1], error.values.shape[-1])
    return _call("weight_gradient", shape, x, error, window.padding)


def _call(name: str, shape: tuple[int, ...], a: Operand, b: Operand, padding, **attributes: bool) -> jax.Array:
    kernel = jax.ffi.ffi_call(f"halo_{name}", jax.ShapeDtypeStruct(shape, jnp.float32), vmap_method="sequential")
    return kernel(a.values, b.values, a.unit, b.unit, padding=np.asarray(padding, np.int64).reshape(4), **attributes)


def draws_alike(key: jax.Array) -> bool:
    """Whether `uniform_16` gives the bits of `jax.random.bits` for this key: threefry with counters in order."""
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    threefry = str(jax.random.key_impl(key)) == "threefry2x32" if typed else key.shape == (2,)
    return threefry and jax.config.values["jax_threefry_partitionable"] and why_not() == ""


def uniform_16(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform numbers in [0, 1) in steps of 2^-16, float32, for a key that `draws_alike`."""
    result = jax.ShapeDtypeStruct(shape, jnp.float32)
    words = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return jax.ffi.ffi_call("halo_uniform16", result, vmap_method="sequential")(words)
