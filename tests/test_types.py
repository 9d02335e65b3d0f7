import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.types import Precision, Stream, is_precision, stream


def test_parse_and_str_are_inverse():
    assert Precision.parse("6-4-8") == Precision(weights=6, activations=4, errors=8)
    assert str(Precision.parse("6-4-8")) == "6-4-8"
    assert str(Precision.parse("16-10-1")) == "16-10-1"
    assert str(Precision(jnp.int32(6), jnp.int32(4), jnp.int32(8))) == "6-4-8"


@pytest.mark.parametrize(
    "text",
    ["", "8", "8-8", "8-8-8-8", "8-8-x", "8--8", "-8-8-8", "8.0-8-8", "8-8- 8", "08-8-8", "0-8-8", "8-17-8", "²-8-8"],
)
def test_parse_rejects_in_one_line(text):
    with pytest.raises(ValueError, match=r"is not of the form 'bw-ba-be'") as error:
        Precision.parse(text)
    assert repr(text) in str(error.value)
    assert not is_precision(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "answer"), [("2-8-2", True), ("1-8-8", False), ("8-9-8", False), ("halo_ps", False), ("", False)]
)
def test_a_text_is_a_precision_if_all_its_bits_are_in_a_range(text, answer):
    assert is_precision(text, 2, 8) is answer


def test_layer_of_one_precision_is_itself():
    assert Precision(8, 6, 4).layer(3) == Precision(8, 6, 4)
    traced = Precision(jnp.int32(8), jnp.int32(6), jnp.int32(4))
    assert tuple(map(int, traced.layer(1))) == (8, 6, 4)


def test_layer_picks_from_bits_per_layer():
    bits = Precision(jnp.array([8, 2]), jnp.array([7, 3]), jnp.array([6, 4]))
    assert tuple(map(int, bits.layer(0))) == (8, 7, 6)
    assert tuple(map(int, bits.layer(1))) == (2, 3, 4)
    assert tuple(map(int, bits.layer(-1))) == (2, 3, 4)


def test_stream_keys_are_distinct_by_purpose_and_index():
    root = jax.random.key(0)
    keys = [root]
    keys += [stream(root, purpose) for purpose in Stream]
    keys += [stream(root, purpose, index) for purpose in Stream for index in range(5)]
    keys += [stream(root, purpose, a, b) for purpose in Stream for a in range(3) for b in range(3)]
    data = np.stack([jax.random.key_data(key) for key in keys])
    assert len(np.unique(data, axis=0)) == len(keys)


def test_stream_is_the_same_whether_indices_are_traced():
    root = jax.random.key(1)
    eager = jax.random.key_data(stream(root, Stream.UPDATE, 3, 4))
    traced = jax.jit(lambda i, j: jax.random.key_data(stream(root, Stream.UPDATE, i, j)))(3, 4)
    np.testing.assert_array_equal(eager, traced)
