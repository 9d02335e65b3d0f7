"""A fingerprint tells any two arrays apart, wherever and however it is made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.federation.fingerprint import as_text, fingerprint

TREE = {
    "codes": np.arange(-60, 60, dtype=np.int8).reshape(3, 40),
    "floats": np.linspace(-1, 1, 7, dtype=np.float32),
    "bits": np.array([2, 4, 8], np.int32),
}
of = jax.jit(fingerprint)


def changed(name: str, index: int, bit: int) -> dict:
    values = TREE[name].copy()
    values.reshape(-1).view(f"u{values.itemsize}")[index] ^= 1 << bit
    return {**TREE, name: values}


@given(name=st.sampled_from(sorted(TREE)), data=st.data())
@settings(derandomize=True, max_examples=100, deadline=None)
def test_one_changed_bit_changes_about_half_of_the_fingerprint(name, data):
    values = TREE[name]
    bit = data.draw(st.integers(0, 8 * values.itemsize - 1))
    index = data.draw(st.integers(0, values.size - 1))
    difference = np.asarray(of(TREE)) ^ np.asarray(of(changed(name, index, bit)))
    assert 10 <= sum(int(word).bit_count() for word in difference) <= 54


def test_values_that_change_places_change_the_fingerprint():
    swapped = {**TREE, "bits": TREE["bits"][[1, 0, 2]]}
    some, more = TREE["bits"][:1], TREE["bits"]
    trees = (TREE, swapped, {"a": some, "b": more}, {"a": more, "b": some})
    assert len({as_text(of(tree)) for tree in trees}) == 4


def test_nan_infinity_and_signed_zero_have_their_own():
    found = {as_text(of(jnp.array([value], jnp.float32))) for value in (np.nan, np.inf, -np.inf, 0.0, -0.0)}
    assert len(found) == 5


def test_jit_vmap_and_the_executor_change_nothing():
    stacked = {name: jnp.stack([jnp.asarray(leaf), jnp.asarray(leaf)[::-1]]) for name, leaf in TREE.items()}
    by_vmap = jax.vmap(fingerprint)(stacked)
    for client in range(2):
        one = jax.tree.map(lambda leaf, client=client: leaf[client], stacked)
        np.testing.assert_array_equal(fingerprint(one), by_vmap[client])
        np.testing.assert_array_equal(of(one), by_vmap[client])


def test_it_is_the_same_number_on_every_machine():
    assert as_text(of(TREE)) == "fb49132dfd17f073"


@pytest.mark.parametrize("words", [(0, 1), (2**32 - 1, 16)])
def test_as_text_is_16_digits(words):
    assert as_text(np.array(words, np.uint32)) == f"{words[0]:08x}{words[1]:08x}"
