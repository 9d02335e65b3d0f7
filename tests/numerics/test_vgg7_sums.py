"""Every sum of products that VGG7 trains with, at full width on the paper's data sets, is exact in every form.

Operands are saturated and correlated: codes of 120 to 127, whose sums are as large as they get and end in any digit.
What a sum does not run over (other channels, other positions) is cut to a few.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.models import VGG7, layer_shapes
from halo_jax.numerics import contraction_accelerator, contraction_cpu, native
from halo_jax.numerics.exact_sums import FLOAT32_TERMS, INT32_TERMS, Operand, Window

BATCH = 32
FEW = 2
SAME = Window(padding=((1, 1), (1, 1)))
NETWORKS = {"cifar10": (10, (32, 32, 3)), "emnist": (47, (28, 28, 1)), "tiny_imagenet": (200, (64, 64, 3))}
FORMS = {"native": native, "xla": contraction_cpu, "bf16": contraction_accelerator, "int8": contraction_accelerator}


def lengths():
    """(kernel, products of forward, input gradient and weight gradient are summed over): all that VGG7 has."""
    layers = [layer for classes, shape in NETWORKS.values() for layer in layer_shapes(VGG7(classes), shape)]
    return sorted({(layer.kernel, layer.c_in, layer.c_out, layer.out_hw) for layer in layers})


def problems():
    """name, operands as codes and the geometry of each contraction."""
    rng = np.random.default_rng(0)
    codes = lambda *shape: rng.integers(120, 128, shape)  # noqa: E731
    for kernel, c_in, c_out, (height, width) in lengths():
        if kernel == (1, 1):
            yield "dot", codes(FEW, c_in), codes(c_in, FEW), {}
            yield "dot", codes(FEW, c_out), codes(c_out, FEW), {}
            yield "dot", codes(FEW, BATCH), codes(BATCH, FEW), {}
        else:
            yield "correlate", codes(1, 3, 3, c_in), codes(*kernel, c_in, FEW), {"window": SAME}
            yield "input_gradient", codes(1, 3, 3, c_out), codes(*kernel, FEW, c_out), {"window": SAME, "in_hw": (3, 3)}
            images = codes(BATCH, height, width, FEW), codes(BATCH, height, width, FEW)
            yield "weight_gradient", *images, {"window": SAME, "kernel": kernel}


def exact(name, a, b, geometry):
    """The sum in int64, one kernel offset at a time."""
    if name == "dot":
        return a @ b
    if name == "input_gradient":
        b = b[::-1, ::-1].swapaxes(2, 3)
    padded = np.pad(a, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = a.shape[1:3]
    views = [[padded[:, i : i + height, j : j + width] for j in range(3)] for i in range(3)]
    if name == "weight_gradient":
        return np.array([[np.tensordot(view, b, ([0, 1, 2],) * 2) for view in row] for row in views])
    return sum(views[i][j] @ b[i, j] for i in range(3) for j in range(3))


def test_the_sums_are_longer_than_float32_and_int32_add_exactly():
    terms = [BATCH * height * width for *_, (height, width) in lengths()]
    assert max(terms) > FLOAT32_TERMS
    assert max(9 * c_in for _, c_in, _, _ in lengths()) > FLOAT32_TERMS
    assert max(terms) < INT32_TERMS  # longer ones: tests/test_contraction.py


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_sum_of_vgg7_is_exact(form):
    if form == "native" and native.why_not():
        pytest.skip(native.why_not())
    cases = list(problems())
    unit = jnp.float32(2.0**-7)
    module = FORMS[form]
    options = {"codes": form == "int8"} if module is contraction_accelerator else {}

    @jax.jit
    def contract(operands):
        pairs = zip(operands, cases, strict=True)
        return [
            getattr(module, name)(Operand(a, unit), Operand(b, unit), exact=True, **geometry, **options)
            for (a, b), (name, _, _, geometry) in pairs
        ]

    operands = [tuple(jnp.asarray(codes, jnp.float32) * unit for codes in (a, b)) for _, a, b, _ in cases]
    for found, (name, a, b, geometry) in zip(contract(operands), cases, strict=True):
        whole = exact(name, a, b, geometry)
        np.testing.assert_array_equal(
            np.asarray(found) * 2.0**14, whole.astype(np.float32), err_msg=f"{name} {a.shape}"
        )
