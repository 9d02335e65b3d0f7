"""What every bill promises, on every chip: which bits and layers it takes, how costs add up, and what compiles."""

import dataclasses
import itertools
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.hardware import halosim
from halo_jax.types import LayerShape, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import CHIPS, KINDS, ODD, SMALL, chip_of

chips = pytest.mark.parametrize("name", CHIPS)
EIGHT = Precision(8, 8, 8)


@pytest.mark.parametrize("bad", [0, 17, -1, np.array([8, 17]), np.int32(0), 1000])
@pytest.mark.parametrize("field", Precision._fields)
def test_known_bits_outside_1_to_16_are_refused_in_one_line(field, bad):
    bits = Precision(*(np.full(np.shape(bad), 8),) * 3)._replace(**{field: bad})
    chip = CHIPS["calibrated"]
    for price in (chip.evaluate, partial(chip.evaluate, relaxed=True), chip.breakdown):
        for run in (price, jax.jit(lambda price=price: price(SMALL, bits))):
            with pytest.raises(ValueError, match=f"^bits of {field} from") as error:
                run(SMALL, bits) if run is price else run()
            assert re.fullmatch(r"bits of \w+ from -?\d+ to -?\d+; allowed: 1 to 16", error.value.args[0])


def test_a_bit_width_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="bits of errors from nan to nan; allowed: 1 to 16"):
        halosim.evaluate(SMALL, Precision(8.0, 8.0, float("nan")), relaxed=True)


@chips
def test_traced_bits_are_clamped(name):
    price = jax.jit(partial(CHIPS[name].evaluate_per_layer, SMALL))
    clamped = price(Precision(*(jnp.full(len(SMALL), bits) for bits in (1, 16, 16))))
    wild = price(Precision(*(jnp.full(len(SMALL), bits) for bits in (-5, 99, 17))))
    assert [float(value) for value in wild] == [float(value) for value in clamped]


@pytest.mark.parametrize(
    "bits",
    [
        Precision(8.0, 8, 8),
        Precision(*np.full((3, 2), 8.5)),
        Precision(np.array([8, 8]), 8, 8),
        Precision(np.ones(2, int), np.ones(3, int), 8),
    ],
    ids=["float", "floats", "scalars and arrays", "lengths"],
)
def test_bits_are_integers_of_one_shape(bits):
    for price in (CHIPS["calibrated"].evaluate, CHIPS["calibrated"].breakdown):
        with pytest.raises(AssertionError):
            price(VGG7["cifar10"], bits)


@pytest.mark.parametrize("shape", [(), (1,), (8,), (2, 5)])
@pytest.mark.parametrize("relaxed", [False, True])
def test_cost_has_the_shape_of_the_bits(shape, relaxed):
    bits = Precision(*(np.full(shape, 8),) * 3)
    cost = jax.eval_shape(partial(halosim.evaluate, VGG7["cifar10"], relaxed=relaxed), bits)
    per_layer = Precision(*(np.full((*shape, 8), 8),) * 3)
    each = jax.eval_shape(partial(halosim.evaluate_per_layer, VGG7["cifar10"], relaxed=relaxed), per_layer)
    for value in (*cost, *each):
        assert (value.shape, value.dtype, value.weak_type) == (shape, jnp.float32, False)


@pytest.mark.parametrize("number", [1, 7, 9])
def test_per_layer_bits_need_one_entry_per_layer(number):
    with pytest.raises(AssertionError):
        halosim.evaluate_per_layer(VGG7["emnist"], Precision(*(np.full(number, 8),) * 3))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "no layers to price"),
        ((LayerShape((3, 3), 0, 8, (4, 4)),), "below 1"),
        ((LayerShape((3, 3), 6, 8, (4, 4), groups=4),), "groups"),
        ((LayerShape((3, 3), 6, 8, (4, 4), repeats=-1),), "below 1"),
        ((LayerShape((1, 1), 2**21, 2**21, (2**11, 1)),), "layers too large to count exactly: .* below 2\\*\\*43"),
        ((LayerShape((3, 3), 512, 512, (4000, 4000)),) * 10, "too large"),
    ],
)
@chips
def test_impossible_layers_are_refused_in_one_line(name, layers, message):
    for price in (CHIPS[name].evaluate, CHIPS[name].breakdown):
        with pytest.raises(ValueError, match=message) as error:
            price(layers, EIGHT)
        assert "\n" not in str(error.value)


def test_counts_that_only_together_are_too_large_are_refused():
    # One item's reads fit; forward, backward and gradient together do not, and are added before they are priced.
    layers = (LayerShape((1, 1), 64 * 1100, 64 * 1100, (27_000, 1)),)
    halosim.breakdown(layers, Precision(16, 16, 16), halosim.PHYSICAL)
    with pytest.raises(ValueError, match="too large to count exactly"):
        halosim.evaluate(layers, Precision(16, 16, 16), halosim.PHYSICAL)


@pytest.mark.parametrize("name", KINDS)
def test_odd_layers_have_finite_positive_costs(name):
    chip, extremes = CHIPS[name], np.array(list(itertools.product([1, 16], repeat=3))).T
    parts = chip.breakdown(ODD, Precision(*np.repeat(extremes[..., None], len(ODD), axis=-1)))
    for part, value in parts.items():
        assert np.isfinite(value).all(), part
        assert (np.asarray(value) > 0).all(), part
    real = Precision(*np.float32(np.concatenate([extremes, np.clip(extremes, 1.2, 15.7)], axis=1)))
    if name in ("pipelined", "stripes_45nm"):
        cost = jax.jit(partial(chip.evaluate, ODD, relaxed=True))(real)
        assert np.isfinite(cost).all()
        assert (np.asarray(cost) > 0).all()


def test_changed_bits_compile_nothing():
    traces = []

    @partial(jax.jit, static_argnums=0)
    def counted(relaxed, precision):
        traces.append(relaxed)
        return halosim.evaluate(VGG7["cifar10"], precision, relaxed=relaxed)

    for relaxed, kind in ((False, jnp.int32), (True, jnp.float32)):
        found = {float(counted(relaxed, Precision(*(kind(bits),) * 3)).energy_mj) for bits in (8, 6, 4, 1, 16)}
        assert len(found) == 5
    assert traces == [False, True]


def floats_of(device):
    """The constants that may change without a new program."""
    fields = {field.name: field for field in dataclasses.fields(device)}
    return [name for name, field in fields.items() if field.metadata.get("pytree_node", True)]


@pytest.mark.parametrize("name", KINDS)
def test_changed_constants_compile_nothing_and_are_not_ignored(name):
    device, traces = CHIPS[name].device, []
    layers = (LayerShape((3, 3), 4, 4, (9, 9)), LayerShape((1, 1), 6000, 64, (1, 1)))

    @jax.jit
    def counted(device):
        traces.append(None)
        parts = chip_of(device).breakdown(layers, EIGHT)
        return chip_of(device).evaluate(layers, EIGHT), [parts[part] for part in sorted(parts)]

    before = jax.tree.leaves(counted(device))
    names = floats_of(device)
    assert {"read_energy_pj", "samples_per_update"} < set(names) or "clock_mhz" in names
    for name in names:
        changed = dataclasses.replace(device, **{name: 3 * getattr(device, name)})
        after = jax.tree.leaves(counted(changed))
        same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        assert same == (
            getattr(device, "mapping", None) == "paper" and name in ("write_delay_us", "samples_per_update")
        )
    assert len(traces) == 1


@pytest.mark.parametrize("name", KINDS)
def test_traced_constants_cost_what_static_ones_do(name):
    chip, layers = CHIPS[name], VGG7["emnist"]
    bits = Precision(*np.array([[8, 2, 16, 1], [8, 4, 16, 1], [8, 4, 16, 1]]))
    static = jax.jit(lambda: chip.evaluate(layers, bits))()
    traced = jax.jit(lambda device: chip_of(device).evaluate(layers, bits))
    np.testing.assert_allclose(static, traced(chip.device), rtol=1e-6)
    many = jax.tree.map(lambda value: jnp.array([1.0, 3.0]) * value, chip.device)  # a study of devices, in one program
    lifted = jax.jit(jax.vmap(traced))(many)
    for index in (0, 1):
        one = traced(jax.tree.map(lambda value, index=index: float(value[index]), many))
        np.testing.assert_allclose([value[index] for value in lifted], one, rtol=1e-6)


def test_presets_of_the_same_sizes_share_one_program():
    traces = []

    @partial(jax.jit, static_argnums=0)
    def counted(layers, precision, constants):
        traces.append(None)
        return halosim.evaluate(layers, precision, constants)

    layers = VGG7["cifar10"]
    calibrated, printed = (counted(layers, EIGHT, constants) for constants in (halosim.CALIBRATED, halosim.TABLE_I))
    assert len(traces) == 1
    for found, constants in ((calibrated, halosim.CALIBRATED), (printed, halosim.TABLE_I)):
        np.testing.assert_allclose(found, halosim.evaluate(layers, EIGHT, constants), rtol=1e-6)
    counted(layers, EIGHT, halosim.PHYSICAL)
    assert len(traces) == 2
