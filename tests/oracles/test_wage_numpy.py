"""The NumPy twin of WAGE against facts worked out by hand and against definitions written out as loops."""

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest

from tests.oracles import wage_numpy as wage
from tests.oracles.contractions_numpy import conv2d, conv2d_error, conv2d_gradient, max_pool, route_pool


def codes(seed, shape, k=8):
    return np.random.default_rng(seed).integers(-wage.largest(k), wage.largest(k) + 1, shape)


def test_alpha_is_that_of_the_spec():
    cifar10_vgg7 = [27, 1152, 1152, 2304, 2304, 4608, 8192, 256]
    assert [wage.alpha(n) for n in cifar10_vgg7] == [2, 16, 16, 16, 16, 32, 32, 8]
    assert [wage.alpha(n) for n in (9, 128, 576, 1024, 4096, 16384)] == [1, 4, 8, 16, 32, 64]


def test_alpha_is_its_formula_for_every_fan_in():
    for n in range(1, 3000):
        assert wage.alpha(n) == max(2 ** round(np.log2(0.75 / sqrt(3 / n))), 1)


def test_shift_turns_at_sqrt_2():
    assert [wage.shift(n) for n in (0, 1, 2, 3, 5, 6, 90, 91)] == [1, 1, 2, 4, 4, 8, 64, 128]
    for power in (Fraction(1, 2**20), Fraction(1, 2), Fraction(1), Fraction(2**40)):
        assert wage.shift(power) == power
        assert wage.shift(power * Fraction(1414213562, 10**9)) == power
        assert wage.shift(power * Fraction(1414213563, 10**9)) == 2 * power
        assert wage.shift(power * Fraction(707106782, 10**9)) == power


def test_division_rounds_half_to_even():
    assert wage.divide(np.array([-6, -5, -3, -2, -1, 1, 2, 3, 5, 6, 7]), 4).tolist() == [
        -2, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2,
    ]  # fmt: skip


@pytest.mark.parametrize("k", range(2, 9))
def test_grid_has_its_levels_and_rounding_twice_changes_nothing(k):
    found = wage.grid_codes(np.linspace(-2, 2, 2001), k)
    assert np.unique(found).tolist() == list(range(1 - 2 ** (k - 1), 2 ** (k - 1)))
    np.testing.assert_array_equal(wage.grid_codes(found / 2 ** (k - 1), k), found)


def test_weight_codes_of_the_8_bit_grid():
    m = np.array([-127, -97, -96, -33, -32, 0, 32, 33, 95, 96, 127])
    assert wage.weight_codes(m, 2).tolist() == [-1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 1]
    assert wage.weight_codes(m, 4).tolist() == [-7, -6, -6, -2, -2, 0, 2, 2, 6, 6, 7]
    np.testing.assert_array_equal(wage.weight_codes(m, 8), m)
    for k in (2, 4, 6, 8):  # the same quantiser as for real numbers
        np.testing.assert_array_equal(
            wage.weight_codes(np.arange(-127, 128), k), wage.grid_codes(np.arange(-127, 128) / 128, k)
        )


def test_input_codes_at_the_ends_and_in_the_middle():
    assert wage.input_codes(np.array([0, 1, 127, 128, 254, 255], np.uint8), 8).tolist() == [
        -127, -127, -1, 1, 127, 127,
    ]  # fmt: skip
    assert wage.input_codes(np.array([0, 127, 136, 143, 144, 255], np.uint8), 4).tolist() == [
        -7,
        0,
        1,
        1,
        1,
        7,
    ]


def test_clip_mask_is_compared_before_rounding():
    den = 2 * 128  # alpha S_8
    found, passed = wage.activation(np.array([-5, den // 2, 3 * den // 2, 7 * den, 7 * den + 1, 9 * den]), 2, 8, 4)
    assert found.tolist() == [0, 0, 2, 7, 7, 7]
    assert passed.tolist() == [True, True, True, True, False, False]


def test_error_codes_saturate_above_shift_and_see_no_scale():
    d = np.array([0, 3, -45, 64, 90])
    assert wage.error_codes(d, 4).tolist() == [0, 0, -6, 7, 7]  # Shift(90) = 64: 8 d / 64, -5.625 and 11.25
    np.testing.assert_array_equal(wage.error_codes(d * 2**20, 4), wage.error_codes(d, 4))
    assert wage.error_codes(np.zeros(3, np.int64), 8).tolist() == [0, 0, 0]


def test_convolution_and_its_transposes_are_the_six_loops():
    a, w, e = codes(0, (2, 4, 5, 3)), codes(1, (3, 3, 3, 2)), codes(2, (2, 4, 5, 2))
    z, d, g = np.zeros_like(e), np.zeros_like(a), np.zeros_like(w)
    for b, y, x, i, j in np.ndindex(2, 4, 5, 3, 3):
        row, col = y + i - 1, x + j - 1
        if not (0 <= row < 4 and 0 <= col < 5):
            continue
        for c, o in np.ndindex(3, 2):
            z[b, y, x, o] += a[b, row, col, c] * w[i, j, c, o]
            d[b, row, col, c] += e[b, y, x, o] * w[i, j, c, o]
            g[i, j, c, o] += a[b, row, col, c] * e[b, y, x, o]
    np.testing.assert_array_equal(conv2d(a, w), z)
    np.testing.assert_array_equal(conv2d_error(e, w), d)
    np.testing.assert_array_equal(conv2d_gradient(a, e, (3, 3)), g)


def test_pool_drops_the_odd_row_and_routes_ties_to_the_first():
    z = np.array([[1, 5, 3, 3, 9], [5, 5, 3, 3, 9], [9, 9, 9, 9, 9]])[None, :, :, None]
    assert max_pool(z).ravel().tolist() == [5, 3]
    routed = route_pool(np.array([7, -2])[None, None, :, None], z)
    assert routed[0, :, :, 0].tolist() == [[0, 7, -2, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_one_dense_step_by_hand():
    """a = (127, -127); z = (4064, -6096); out - onehot = (-12320, -6096) / 2^14; Shift(12192) = 2^14."""
    image, m = np.array([255, 0], np.uint8).reshape(1, 1, 1, 2), np.array([[64, -32], [32, 16]])
    new, seen = wage.step([("dense",)], [m], image, [0], [1], (8, 8, 8), 8, [np.full((2, 2), 0.5)])
    assert seen["z"][0].tolist() == [[4064, -6096]]
    assert seen["scale"] == 2**14
    assert seen["e"][0].tolist() == [[-96, -48]]  # -96.25 and -47.625
    assert seen["g"][0].tolist() == [[-12192, -6096], [12192, 6096]]
    assert seen["n"][0].tolist() == [[-6, -3], [6, 3]]  # floor of -5.45, -2.48, 6.45, 3.48
    assert new[0].tolist() == [[70, -29], [26, 13]]


def test_error_is_masked_then_quantised_then_passes_relu():
    """Hidden units: saturated, small, negative. Q_E sees (0, 297, 4950) over 4096; ReLU' drops the last."""
    image = np.full((1, 1, 1, 2), 255, np.uint8)
    masters = [np.array([[127, 1, -1], [127, 0, 0]]), np.array([[100, 0], [3, 0], [50, 0]])]
    noise = [np.zeros(m.shape) for m in masters]
    _, seen = wage.step([("dense",), ("dense",)], masters, image, [1], [1], (8, 8, 8), 8, noise)
    assert seen["a"][1].tolist() == [[127, 1, 0]]
    assert seen["e"][1].tolist() == [[99, -127]]
    assert seen["e"][0].tolist() == [[0, 9, 0]]


def test_padding_changes_nothing():
    layers = [("conv", True), ("dense",)]
    masters = [codes(3, (3, 3, 2, 4)), codes(4, (16, 3))]
    noise = [np.full(m.shape, 0.25) for m in masters]
    images = np.random.default_rng(5).integers(0, 256, (3, 5, 4, 2), np.uint8)
    padded, _ = wage.step(layers, masters, images, [0, 2, 1], [1, 0, 1], (4, 6, 8), 1, noise)
    alone, _ = wage.step(layers, masters, images[[0, 2]], [0, 1], [1, 1], (4, 6, 8), 1, noise)
    assert all(np.array_equal(p, q) for p, q in zip(padded, alone, strict=True))
    assert not np.array_equal(alone[0], masters[0])


def test_stochastic_rounding_is_the_floor_and_unbiased():
    num, u = np.array([-3, -1, 0, 1, 3, 4]), np.array([0.25, 0.25, 0, 0.75, 0.25, 0.75])
    assert wage.stochastic_round(num, 4, u).tolist() == [-1, 0, 0, 1, 1, 1]
    every = np.arange(2**10) / 2**10
    assert wage.stochastic_round(np.full(2**10, -37), 2**10, every).sum() == -37
    with pytest.raises(ValueError, match="noise"):
        wage.stochastic_round(num, 4, 1.0)


@pytest.mark.parametrize(("eta", "bound"), [(8, 12), (1, 2), (0.125, 1)])
def test_update_is_bounded_and_the_master_clipped(eta, bound):
    g, u = codes(6, 500) * 91, np.random.default_rng(7).integers(0, 2**16, 500) / 2**16
    m, n = wage.update(np.full(500, 126), g, eta, u)
    assert np.abs(n).max() == bound
    assert m.max() == 127
    np.testing.assert_array_equal(m, np.minimum(126 - n, 127))
    assert wage.update(np.array([5]), np.array([0]), eta, np.array([0.99609375]))[1].tolist() == [0]


def test_server_means():
    masters, counts = np.array([[1, 2, -127, 3], [2, 2, -127, 6]]), np.array([3, 1])
    assert wage.aggregate(masters, counts).tolist() == [1, 2, -127, 4]  # 5/4, 2, -127, 15/4
    assert wage.aggregate(masters, np.array([2, 2])).tolist() == [2, 2, -127, 4]  # 3/2 and 9/2 go to even
    draws = [wage.aggregate(masters, counts, np.full(4, r)) for r in range(4)]
    assert np.mean(draws, axis=0).tolist() == [1.25, 2, -127, 3.75]
