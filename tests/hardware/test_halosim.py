import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.hardware import halosim
from halo_jax.types import LayerShape, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.oracles import halosim_exact

price = jax.jit(halosim.evaluate, static_argnums=0)
ALL_BITS = np.stack(np.meshgrid(*[np.arange(1, 17)] * 3, indexing="ij")).reshape(3, -1)


def pairs(low: int, high: int):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def layer_shapes(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3, 64]))
    c_in = groups * draw(st.one_of(st.just(1), st.integers(1, 600 // groups)))
    c_out = groups * draw(st.one_of(st.just(1), st.integers(1, 600 // groups)))
    out_hw = draw(st.one_of(st.just((1, 1)), pairs(1, 70)))
    return LayerShape(
        draw(pairs(1, 7)),
        c_in,
        c_out,
        out_hw,
        draw(pairs(1, 3)),
        draw(pairs(1, 3)),
        groups,
        draw(st.integers(1, 3)),
    )


def check_against_oracle(layers, bits):
    """`bits` [3, L]; floats within 1e-6, counts exact."""
    exact = halosim_exact.evaluate(layers, list(zip(*bits.tolist(), strict=True)))
    found = halosim.evaluate_per_layer(layers, Precision(*bits))
    for name, value in found._asdict().items():
        np.testing.assert_allclose(float(value), float(exact[name]), rtol=1e-6, err_msg=name)
    check_counts(halosim.count(layers, Precision(*bits)), layers, bits)


def check_counts(counts, layers, bits):
    whole = lambda count: np.asarray(count.high, np.int64) * 2**halosim.LIMB_BITS + np.asarray(count.low)  # noqa: E731
    reads, steps = whole(counts.bit_reads), whole(counts.steps)
    for i, layer in enumerate(layers):
        exact = halosim_exact.layer_counts(layer, tuple(bits[:, i].tolist()))
        found = [*counts.crossbars[i].tolist(), *counts.tiles[i].tolist(), *reads[i], *steps[i]]
        assert found == list(exact.values()), layer


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(layer_shapes(), min_size=3, max_size=3), st.lists(st.integers(1, 16), min_size=9, max_size=9))
def test_matches_the_integer_oracle(layers, bits):
    check_against_oracle(layers, np.array(bits).reshape(3, 3))


@pytest.mark.parametrize("bits", [(1, 1, 1), (8, 8, 8), (16, 16, 16), (2, 4, 4), (7, 3, 11)])
@pytest.mark.parametrize("data_set", VGG7)
def test_matches_the_integer_oracle_on_vgg7(data_set, bits):
    check_against_oracle(VGG7[data_set], np.tile(np.array(bits)[:, None], (1, len(VGG7[data_set]))))


@pytest.mark.parametrize(
    "layer",
    [
        LayerShape((1, 1), 1, 1, (1, 1)),
        LayerShape((7, 7), 3, 64, (112, 112), stride=(2, 2)),
        LayerShape((3, 3), 4096, 4096, (14, 14)),  # 8e9 forward reads at 8 bits
        LayerShape((3, 3), 64, 64, (224, 224)),
        LayerShape((3, 3), 96, 96, (28, 28), dilation=(4, 2), groups=96),
        LayerShape((1, 1), 4096, 131_072, (1, 1)),
        LayerShape((1, 1), 768, 3072, (197, 1), repeats=12),
    ],
)
def test_matches_the_integer_oracle_at_extremes(layer):
    for bits in (1, 8, 16):
        check_against_oracle([layer], np.full((3, 1), bits))


def test_layer_by_hand():
    # 3x3, 10 -> 20 channels in 2 groups, output 9 x 5, stride 2 x 1, dilation 1 x 3, run twice, at 7-5-3:
    # touched input (8*2 + 2*1 + 1) x (4*1 + 2*3 + 1) = 19 x 11; rows ceil(45/64) = 1 and ceil(45/64) = 1;
    # columns ceil(10*7/64) = 2 for weights and ceil(10*3/64) = 1 for errors; each times 2 groups.
    layer = LayerShape((3, 3), 10, 20, (9, 5), stride=(2, 1), dilation=(1, 3), groups=2, repeats=2)
    counts = halosim.count([layer], Precision(*(np.array([bits]) for bits in (7, 5, 3))))
    assert counts.crossbars.tolist() == [[4, 2]]
    assert counts.tiles.tolist() == [[1, 1]]
    assert counts.bit_reads.as_float().tolist() == [[2 * 4 * 45 * 5, 2 * 4 * 45 * 3, 2 * 2 * 19 * 11 * 5 * 5]]
    assert counts.steps.as_float().tolist() == [[2 * 45 * 5, 2 * 45 * 3, 2 * 9 * 5 * 20 * 5]]


def test_jit_eager_and_vmap_agree():
    eager = partial(halosim.evaluate, VGG7["tiny_imagenet"])
    bits = Precision(*jnp.asarray(ALL_BITS))
    jitted = jax.jit(eager)(bits)
    for other in (eager(bits), jax.jit(jax.vmap(eager))(bits)):
        for a, b in zip(jitted, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1.2e-7)  # the last bit: compilers may fuse a product and a sum


@pytest.mark.parametrize("data_set", VGG7)
def test_cost_never_falls_when_a_bit_is_added(data_set):
    costs = price(VGG7[data_set], Precision(*ALL_BITS.reshape(3, 16, 16, 16)))
    for value in costs:
        for axis in range(3):
            assert (np.diff(value, axis=axis) >= 0).all()
    assert (np.diff(costs.energy_mj, axis=1) > 0).all()
    assert (np.diff(costs.energy_mj, axis=2) > 0).all()
    assert (np.diff(costs.latency_s, axis=1) > 0).all()


def test_changed_bits_compile_nothing():
    traces = []

    @jax.jit
    def counted(precision):
        traces.append(None)
        return halosim.evaluate(VGG7["cifar10"], precision)

    results = [float(counted(Precision(*(jnp.int32(bits),) * 3)).energy_mj) for bits in (8, 6, 4)]
    assert len(traces) == 1
    assert len(set(results)) == 3


@pytest.mark.parametrize("shape", [(), (1,), (8,), (2, 8)])
def test_cost_has_the_shape_of_the_bits(shape):
    bits = Precision(*(np.full(shape, 8),) * 3)
    for value in jax.eval_shape(partial(halosim.evaluate, VGG7["cifar10"]), bits):
        assert (value.shape, value.dtype, value.weak_type) == (shape, jnp.float32, False)


def test_per_layer_with_equal_bits_is_evaluate():
    layers = VGG7["emnist"]
    one = halosim.evaluate(layers, Precision(6, 4, 8))
    each = halosim.evaluate_per_layer(layers, Precision(*(np.full(len(layers), bits) for bits in (6, 4, 8))))
    assert [float(value) for value in one] == [float(value) for value in each]


def test_per_layer_bits_need_one_entry_per_layer():
    with pytest.raises(AssertionError):
        halosim.evaluate_per_layer(VGG7["emnist"], Precision(*(np.full(7, 8),) * 3))


@pytest.mark.parametrize(
    "bits",
    [Precision(8.0, 8, 8), Precision(np.array([8, 8]), 8, 8), Precision(np.ones(2, int), np.ones(3, int), 8)],
)
def test_bits_are_integers_of_one_shape(bits):
    with pytest.raises(AssertionError):
        halosim.evaluate(VGG7["cifar10"], bits)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([LayerShape((3, 3), 0, 8, (4, 4))], "below 1"),
        ([LayerShape((3, 3), 6, 8, (4, 4), groups=4)], "groups"),
        ([LayerShape((1, 1), 8, 131_073, (1, 1))], "too large"),
        ([LayerShape((3, 3), 512, 512, (4000, 4000))], "too large"),
    ],
)
def test_impossible_layers_are_rejected_in_one_line(layers, message):
    with pytest.raises(ValueError, match=message) as error:
        halosim.evaluate(layers, Precision(8, 8, 8))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bits", [(8, 8, 8), (2, 4, 4), ([8, 7, 6, 5, 4, 3, 2, 1],) * 3])
def test_breakdown_adds_up_to_the_total(bits):
    layers, precision = VGG7["cifar10"], Precision(*map(np.array, bits))
    rows = halosim.breakdown(layers, precision)
    evaluate = halosim.evaluate if precision.weights.ndim == 0 else halosim.evaluate_per_layer
    for metric, total in evaluate(layers, precision)._asdict().items():
        parts = [row.value for row in rows if row.metric == metric and row.in_total]
        np.testing.assert_allclose(sum(parts), float(total), rtol=1e-6)
    assert {row.layer for row in rows} == set(range(8))
    assert len({row[:4] for row in rows}) == len(rows)


def test_breakdown_shows_what_the_paper_says_of_fig_6():
    rows = halosim.breakdown(VGG7["cifar10"], Precision(8, 8, 8))
    total = lambda metric, *phases: sum(  # noqa: E731
        row.value for row in rows if row.metric == metric and row.phase in phases and row.in_total
    )
    energy = total("energy_mj", "backward", "gradient") / total("energy_mj", "forward")
    latency = total("latency_s", "backward", "gradient") / total("latency_s", "forward")
    assert 50 < energy < 52
    assert latency > 1000
    (weights,) = {row.component for row in rows if not row.in_total}
    assert weights == "weight writes"


def test_doubling_a_constant_doubles_its_metric():
    base = halosim.evaluate(VGG7["cifar10"], Precision(8, 8, 8))
    chip = dataclasses.replace(halosim.CALIBRATED, crossbar_area_mm2=2 * halosim.CALIBRATED.crossbar_area_mm2)
    changed = halosim.evaluate(VGG7["cifar10"], Precision(8, 8, 8), chip)
    assert float(changed.area_mm2) == 2 * float(base.area_mm2)
    assert (float(changed.energy_mj), float(changed.latency_s)) == (
        float(base.energy_mj),
        float(base.latency_s),
    )
