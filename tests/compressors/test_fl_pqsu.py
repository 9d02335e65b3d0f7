"""FL-PQSU: 8-bit affine weights, uploads that wait for a lower loss, and filters that are pruned and stay so."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.fl_pqsu import Last, fl_pqsu
from tests.compressors.context import CONTEXT

KEY, NEVER = jax.random.key(0), Last(np.float32(np.inf), np.int32(0))
# A convolution, its output flattened over 2 positions, and a dense layer.
LAYERS = {
    "a": np.random.default_rng(2).normal(size=(3, 3, 1, 6)).astype(np.float32),
    "b": np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32),
}


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, context=CONTEXT, state=NEVER):
    made = compressor.compress(x, state, context, KEY)
    return compressor.decompress(made.message, x, context), made


@functools.partial(jax.jit, static_argnums=0)
def down(compressor, x):
    return compressor.server.broadcast(x, compressor.server.init(x), KEY)


def test_every_weight_comes_out_within_half_a_step():
    x = {"a": LAYERS["a"], "above": np.linspace(2, 5, 50, dtype="f4"), "below": -np.linspace(0.1, 0.3, 50, dtype="f4")}
    found, _ = round_trip(fl_pqsu(), x)
    for name, exact in x.items():
        step = (max(float(exact.max()), 0) - min(float(exact.min()), 0)) / 255
        assert np.abs(found[name] - exact).max() <= step / 2 * (1 + 1e-4)
    jax.tree.map(np.testing.assert_array_equal, down(fl_pqsu(), x).weights, found)  # the same both ways


def test_zero_stays_zero():
    compressor = fl_pqsu()
    for low, high in ((-1.0, 0.013), (-0.37, 2.2), (0.5, 0.9), (-3.0, -1.0)):
        found, _ = jax.device_get(round_trip(compressor, np.float32([low, 0, high])))
        assert found[1] == 0
        assert found[0] * low > 0


def test_zeros_constants_and_single_elements_come_out_as_they_are():
    x = [np.float32(part) for part in (np.zeros(5), np.full((2, 3), -0.7), np.full(4, 0.2), [3], -2)]
    found, _ = round_trip(fl_pqsu(), x)
    jax.tree.map(lambda one, exact: np.testing.assert_allclose(one, exact, rtol=1e-6), found, x)


def test_a_client_uploads_only_below_the_loss_of_its_last_upload():
    compressor, sent = fl_pqsu(), []
    state = compressor.init(LAYERS)
    for loss in (250.0, 300.0, 250.0, 2.0, 3.0, 1.0):
        _, made = round_trip(compressor, np.ones(2, np.float32), CONTEXT._replace(loss=np.float32(loss)), state)
        state = made.state
        sent.append(bool(made.sent))
    assert sent == [True, False, False, True, False, True]
    assert (state, compressor.remembers, compressor.carries) == ((1.0, 1), True, "weights")


def test_pruning_raises_the_loss_and_everyone_uploads_once_more():
    compressor, state, sent = fl_pqsu(keep=0.5, prune_round=2), NEVER, []
    for i, loss in enumerate((3.0, 2.0, 5.0, 4.0, 4.5)):
        plan = tuple(np.arange(n) < n // 2 if i >= 2 else np.ones(n, bool) for n in (6, 4))
        context = CONTEXT._replace(loss=np.float32(loss), round=np.int32(i), plan=plan)
        _, made = round_trip(compressor, LAYERS, context, state)
        state = made.state
        sent.append(bool(made.sent))
    assert sent == [True, True, True, True, False]
    assert state == (4.0, 2)


@pytest.mark.parametrize(
    ("stages", "expected"), [([1, 0, 1], [5, 0, 9]), ([1, 2, 0], [0, 7, 0]), ([2, 2, 2], [5, 7, 9])]
)
def test_the_server_averages_those_who_have_uploaded_and_once_it_prunes_those_who_have_since(stages, expected):
    last = Last(np.float32([0.3, 1, 2]), np.int32(stages))
    np.testing.assert_array_equal(jax.jit(fl_pqsu().server.weigh)(np.float32([5, 7, 9]), last), expected)


def test_the_strongest_filters_stay_with_what_they_feed():
    strength = np.float32([1, 6, 2, 5, 3, 4])
    x = {"a": np.ones((3, 3, 1, 6), np.float32) * strength, "b": np.ones((12, 4), np.float32)}
    made = down(fl_pqsu(keep=0.4), x)  # ceil(0.4 * 6) = 3 filters
    stay = np.asarray([0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(made.weights["a"], np.ones((3, 3, 1, 1)) * strength * stay, rtol=0.01)
    np.testing.assert_array_equal(made.weights["b"], np.tile(stay, 2)[:, None] * np.ones(4))
    assert int(made.nominal_bits) == 8 * (9 * 3 + 6 * 4) + 64 * 2
    np.testing.assert_array_equal(made.plan[0], stay)
    _, upload = round_trip(fl_pqsu(keep=0.4), x, CONTEXT._replace(plan=made.plan))
    assert int(upload.nominal_bits) == int(made.nominal_bits)


def test_filters_are_pruned_once_in_the_round_that_was_asked_for():
    compressor = fl_pqsu(keep=0.5, prune_round=1)
    broadcast, state, kept = jax.jit(compressor.server.broadcast), compressor.server.init(LAYERS), []
    for weights in (LAYERS, LAYERS, jax.tree.map(lambda leaf: leaf[..., ::-1], LAYERS)):
        made = broadcast(weights, state, KEY)
        state = made.state
        kept.append(made.plan[0])
    assert [int(k.sum()) for k in kept] == [6, 3, 3]
    np.testing.assert_array_equal(kept[1], kept[2])


def test_pruned_weights_stay_zero_in_training():
    """Dense layers of 5, 8 and 3 units with ReLU between them and no biases: no gradient reaches what is pruned."""
    x = {
        "a": np.random.default_rng(5).normal(size=(5, 8)).astype(np.float32),
        "b": np.random.default_rng(6).normal(size=(8, 3)).astype(np.float32),
    }
    weights = jax.device_get(down(fl_pqsu(keep=0.5), x).weights)
    images = np.random.default_rng(7).normal(size=(20, 5)).astype(np.float32)
    loss = lambda w: jnp.sum((jax.nn.relu(images @ w["a"]) @ w["b"] - 1) ** 2)  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(weights)
    for name in ("a", "b"):
        assert int(np.sum(weights[name] == 0)) == x[name].size // 2
        np.testing.assert_array_equal(np.where(weights[name] == 0, gradient[name], 0), np.zeros(x[name].shape))
        assert np.count_nonzero(gradient[name]) > 0


def test_the_message_goes_through_the_wire_in_8_bits_a_weight_and_40_a_tensor():
    found, made = round_trip(fl_pqsu(), LAYERS)
    data = wire.pack(made.message)
    back = wire.unpack(data, made.message)
    jax.tree.map(np.testing.assert_array_equal, back, made.message)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(fl_pqsu().decompress)(back, LAYERS, CONTEXT), found)
    assert int(made.nominal_bits) == 8 * (54 + 48) + 64 * 2
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 8 * 102 + 40 * 2


def test_pruned_weights_travel_in_short_codes():
    x = {
        "a": np.random.default_rng(0).normal(size=(240, 40)).astype(np.float32),
        "b": np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32),
    }
    made = down(fl_pqsu(keep=0.25), x)
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data)
    assert len(data) < 4000  # of 9760: a quarter of the weights is left


@pytest.mark.parametrize(
    "shapes", [[(3, 3, 1, 6), (3, 3, 4, 5)], [(3, 3, 1, 6), (13, 4)], [(4, 6), (12, 3)], [(6,), (6, 2)]]
)
def test_tensors_that_are_no_chain_of_layers_cannot_be_pruned(shapes):
    with pytest.raises(ValueError, match=r"fl_pqsu: keep=0\.5; allowed: 1, since these tensors are no chain of layers"):
        fl_pqsu(keep=0.5).server.init([np.zeros(shape, np.float32) for shape in shapes])


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="fl_pqsu: keep=0; allowed: 0 < keep <= 1"):
        fl_pqsu(keep=0)
    with pytest.raises(ValueError, match="fl_pqsu: prune_round=-1; allowed: 0 or more"):
        fl_pqsu(prune_round=-1)
