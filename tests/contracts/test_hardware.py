"""The contract of every entry of PLATFORMS, on every device it knows."""

import dataclasses
import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.hardware import PLATFORMS, Chip
from halo_jax.hardware.bill import MAX_BITS
from halo_jax.hardware.device_file import load, save
from halo_jax.types import Cost, LayerShape, Precision
from tests.hardware.same_bits import check_chip

LAYERS = (
    LayerShape((3, 3), 3, 16, (8, 8)),
    LayerShape((3, 3), 16, 16, (4, 4), stride=(2, 2), groups=16),
    LayerShape((1, 1), 256, 10, (1, 1)),
)
GRID = np.stack(np.meshgrid(*[np.arange(1, 17)] * 3, indexing="ij"))  # [3, 16, 16, 16]
EIGHT = Precision(8, 8, 8)


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
    price = jax.jit(partial(PLATFORMS[name](device).evaluate, LAYERS))
    cost = price(Precision(*(jnp.full(shape, bits) for bits in (6, 4, 8))))
    assert isinstance(cost, Cost)
    for value in cost:
        assert (value.shape, value.dtype, value.weak_type) == (shape, jnp.float32, False)
        assert np.isfinite(value).all()
        assert (np.asarray(value) > 0).all()


@pytest.mark.slow
@every
def test_every_program_gives_the_same_bits(name, device):
    check_chip(PLATFORMS[name](device), LAYERS)


@every
def test_python_ints_are_as_good_as_arrays(name, device):
    price = jax.jit(partial(PLATFORMS[name](device).evaluate, LAYERS))
    arrays = price(Precision(*GRID))
    for bits in ((1, 1, 1), (8, 4, 2), (16, 16, 16)):
        at = tuple(number - 1 for number in bits)
        assert [float(value) for value in price(Precision(*bits))] == [float(value[at]) for value in arrays]


@every
def test_cost_never_falls_when_a_bit_is_added(name, device):
    cost = jax.jit(partial(PLATFORMS[name](device).evaluate, LAYERS))(Precision(*GRID))
    for value in cost:
        for axis in range(3):
            assert (np.diff(value, axis=axis) >= 0).all()


@every
def test_changed_bits_and_constants_compile_nothing(name, device):
    chip, traces, module = PLATFORMS[name](device), [], importlib.import_module(f"halo_jax.hardware.{name}")

    @jax.jit
    def price(constants, precision):
        traces.append(None)
        return Chip(constants, partial(module.bill, constants=constants)).evaluate(LAYERS, precision)

    found = [price(chip.device, Precision(*jnp.asarray(bits))) for bits in GRID.reshape(3, -1)[:, :3].T]
    doubled = price(jax.tree.map(lambda value: 2 * value, chip.device), Precision(*jnp.asarray(GRID[:, 0, 0, 0])))
    assert len(traces) == 1
    assert float(found[0].energy_mj) != float(doubled.energy_mj)
    static = chip.evaluate(LAYERS, Precision(*GRID[:, 0, 0, 0]))
    np.testing.assert_allclose(found[0], static, rtol=1e-6)


@every
def test_a_second_layer_costs_more_time_and_energy(name, device):
    evaluate = PLATFORMS[name](device).evaluate
    one, two = (evaluate(LAYERS[:count], EIGHT) for count in (1, 2))
    assert float(two.energy_mj) > float(one.energy_mj)
    assert float(two.latency_s) > float(one.latency_s)
    assert float(two.area_mm2) >= float(one.area_mm2)


@every
def test_breakdown_adds_up_to_the_cost(name, device):
    chip = PLATFORMS[name](device)
    parts, cost = chip.breakdown(LAYERS, EIGHT), chip.evaluate(LAYERS, EIGHT)
    assert all(value.shape == (len(LAYERS),) for value in parts.values())
    assert {part.phase for part in parts} >= {"forward", "backward", "gradient"}
    for metric, value in cost._asdict().items():
        found = sum(x.sum() for part, x in parts.items() if part.metric == metric and part.in_total)
        np.testing.assert_allclose(found, value, rtol=1e-6)


@every
def test_relaxed_cost_has_a_gradient_everywhere(name, device):
    chip, bits = PLATFORMS[name](device), np.linspace(1, MAX_BITS, 61, dtype=np.float32)
    summed = lambda bits: sum(value.sum() for value in chip.evaluate(LAYERS, bits, relaxed=True))  # noqa: E731
    gradient = jax.jit(jax.grad(summed))(Precision(bits, bits, bits))
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient.activations) > 0).all()


@every
@pytest.mark.parametrize("bits", [Precision(0, 8, 8), Precision(8, MAX_BITS + 1, 8)])
def test_bits_out_of_range_and_impossible_layers_are_refused_in_one_line(name, device, bits):
    evaluate = PLATFORMS[name](device).evaluate
    impossible = (LayerShape((3, 3), 6, 8, (4, 4), groups=4),)
    for layers, precision in ((LAYERS, bits), (impossible, EIGHT), ((), EIGHT)):
        with pytest.raises(ValueError, match=r"^.+$") as error:
            evaluate(layers, precision)
        assert "\n" not in str(error.value)


@every
def test_device_is_a_frozen_dataclass_that_a_file_keeps(name, device, tmp_path):
    constants = PLATFORMS[name](device).device
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(constants, dataclasses.fields(constants)[0].name, 0)
    save(constants, name, tmp_path / "chip.yaml")
    assert load(tmp_path / "chip.yaml", name, type(constants)) == constants
    assert PLATFORMS[name](str(tmp_path / "chip.yaml")).device == constants
