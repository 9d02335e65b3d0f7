"""DRIVE and the rotation under it: orthogonal, undone by the server, and one bit an element right on average."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from halo_jax.compressors import wire
from halo_jax.compressors.drive import drive
from halo_jax.compressors.rotation import chunks, rotate, rotate_back
from tests.compressors.context import CONTEXT


@jax.jit
def round_trip(x, shared):
    context = CONTEXT._replace(shared=shared)
    made = drive().compress(x, (), context, jax.random.key(0))
    return drive().decompress(made.message, x, context), made


def test_chunks_are_of_4096_or_of_the_next_power_of_two():
    expected = {1: (1, 1), 2: (1, 2), 5: (1, 8), 4096: (1, 4096), 4097: (2, 4096), 418272: (103, 4096)}
    assert {d: chunks(d) for d in expected} == expected


@pytest.mark.parametrize("side", [1, 2, 32])
def test_the_rotation_is_the_hadamard_matrix_after_random_signs(side):
    turn = jax.jit(lambda row: rotate(row, jax.random.key(3))[0])
    columns = np.stack([turn(row) for row in np.eye(side, dtype=np.float32)], axis=1)
    signs = columns[0] * side**0.5  # the first row of the Hadamard matrix is all ones
    np.testing.assert_allclose(np.abs(signs), 1, rtol=1e-6)
    np.testing.assert_allclose(columns, scipy.linalg.hadamard(side) / side**0.5 * signs, atol=1e-6)
    assert side < 32 or len(set(np.round(signs))) == 2


def test_the_rotation_keeps_lengths_and_is_undone():
    x = np.random.default_rng(4).normal(size=4207).astype(np.float32)
    rotated, back = jax.jit(rotate)(x, jax.random.key(5)), jax.jit(rotate_back, static_argnums=2)
    np.testing.assert_allclose(np.sum(np.asarray(rotated) ** 2), np.sum(x**2), rtol=1e-5)
    np.testing.assert_allclose(back(rotated, jax.random.key(5), 4207), x, atol=1e-5)
    assert np.abs(np.asarray(back(rotated, jax.random.key(6), 4207)) - x).max() > 1


def test_drive_is_unbiased_with_error_pi_over_two_minus_one():
    """The mean of N decodes misses x by 1 / N of one decode's error, if nothing but chance is in it."""
    x = np.float32(np.random.default_rng(7).uniform(0.5, 1.5, 1024) * np.tile([-1, 1], 512))
    keys = jax.random.split(jax.random.key(8), 1000)
    found = np.asarray(jax.jit(jax.vmap(lambda key: round_trip(x, key)[0]))(keys), np.float64)
    exact = np.asarray(x, np.float64)
    error = ((found - exact) ** 2).sum(1) / (exact**2).sum()
    np.testing.assert_allclose(error.mean(), np.pi / 2 - 1, atol=0.01)
    missed = ((found.mean(0) - exact) ** 2).sum() / (exact**2).sum()
    deviations = 5 * (2 / 1024) ** 0.5  # of a mean of 1024 squares
    np.testing.assert_allclose(missed, error.mean() / 1000, rtol=deviations)


def test_the_scale_rebuilds_x_along_itself_whatever_x_is():
    lonely = np.zeros(100, np.float32)
    lonely[[3, 50]] = 7, -0.1
    for x in (lonely, np.random.default_rng(9).standard_cauchy(100).astype(np.float32)):
        found, _ = round_trip(x, jax.random.key(10))
        np.testing.assert_allclose(np.vdot(found, x), np.vdot(x, x), rtol=1e-4)


@pytest.mark.parametrize("x", [np.zeros(5), np.array([3.0]), 1e-3 * (np.arange(4096) == 7)])
def test_zeros_and_what_stands_alone_come_out_as_they_are(x):
    x = np.float32(x)
    found, _ = round_trip(x, jax.random.key(11))
    np.testing.assert_allclose(found, x, rtol=1e-5, atol=1e-6 * np.abs(x).max())


def test_a_constant_is_rebuilt_finite_and_along_itself():
    found, _ = round_trip(np.full((70, 70), -0.5, np.float32), jax.random.key(12))
    np.testing.assert_allclose(np.mean(found), -0.5, rtol=1e-3)


def test_the_message_goes_through_the_wire_and_counts_its_filling():
    x = {"a": np.random.default_rng(13).normal(size=(60, 70)).astype(np.float32), "b": np.ones(7, np.float32)}
    found, made = round_trip(x, jax.random.key(14))
    assert jax.tree.map(jnp.shape, found) == {"a": (60, 70), "b": (7,)}
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    assert int(made.nominal_bits) == 2 * 4096 + 2 * 32
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 2 * 4096 + 2 * 32
