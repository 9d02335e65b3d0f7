"""The contract of every entry of PLATFORMS, on every device it knows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.hardware import PLATFORMS
from halo_jax.types import Cost, LayerShape, Precision

LAYERS = (
    LayerShape((3, 3), 3, 16, (8, 8)),
    LayerShape((3, 3), 16, 16, (4, 4), stride=(2, 2), groups=16),
    LayerShape((1, 1), 256, 10, (1, 1)),
)
GRID = np.stack(np.meshgrid(*[np.arange(2, 9)] * 3, indexing="ij")).reshape(3, -1).astype(np.int32)


def known_devices(name: str) -> list[str]:
    with pytest.raises(ValueError, match="no such chip") as error:
        PLATFORMS[name]("no such chip")
    message = str(error.value)
    assert "\n" not in message
    return message.split("known: ")[1].split(", ")


EVERY = [(name, device) for name in PLATFORMS for device in known_devices(name)]
every = pytest.mark.parametrize(("name", "device"), EVERY)


@every
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_cost_is_finite_positive_float32_of_the_shape_of_the_bits(name, device, shape):
    price = jax.jit(partial(PLATFORMS[name](device), LAYERS))
    cost = price(Precision(*(jnp.full(shape, bits) for bits in (6, 4, 8))))
    assert isinstance(cost, Cost)
    for value in cost:
        assert (value.shape, value.dtype, value.weak_type) == (shape, jnp.float32, False)
        assert np.isfinite(value).all()
        assert (np.asarray(value) > 0).all()


@every
def test_elementwise_jit_eager_vmap_and_python_ints_agree(name, device):
    price = partial(PLATFORMS[name](device), LAYERS)
    bits = Precision(*jnp.asarray(GRID))
    eager = price(bits)
    for other in (jax.jit(price)(bits), jax.jit(jax.vmap(price))(bits)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), eager, other)
    single = jax.jit(price)(Precision(*GRID[:, 100].tolist()))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[100], b, rtol=1e-6), eager, single)


@every
def test_changed_bits_compile_nothing(name, device):
    evaluate, traces = PLATFORMS[name](device), []

    @jax.jit
    def price(precision):
        traces.append(None)
        return evaluate(LAYERS, precision)

    for bits in GRID[:, :3].T:
        price(Precision(*jnp.asarray(bits)))
    assert len(traces) == 1


@every
def test_a_second_layer_costs_more_time_and_energy(name, device):
    evaluate = PLATFORMS[name](device)
    one, two = (evaluate(LAYERS[:count], Precision(8, 8, 8)) for count in (1, 2))
    assert float(two.energy_mj) > float(one.energy_mj)
    assert float(two.latency_s) > float(one.latency_s)
    assert float(two.area_mm2) >= float(one.area_mm2)
