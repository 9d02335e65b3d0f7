"""Messages as bytes: what is packed is read back bit for bit, and weighs what was counted."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors.codings import CODINGS, Codes, radix, width
from halo_jax.compressors.huffman import huffman_lengths, huffman_total
from halo_jax.compressors.wire import entropy_bits, pack, packed_bits, size, travelling_bits, unpack


def codes_of(levels, coding, number=50, seed=0):
    rng = np.random.default_rng(seed)
    values = np.minimum(rng.geometric(0.3, number) - 1, levels - 1)
    if coding == "places":
        levels += number
        values = rng.permutation(levels)[:number]
    return Codes([values[:7].astype(np.int32), values[7:].reshape(-1, 1).astype(np.int32)], levels, 0, coding)


def weight_of(message, **options):
    return jax.device_get(size(message, 0, **options))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("levels", [1, 2, 3, 5, 16, 17, 81, 300])
@pytest.mark.parametrize("number", [8, 53])
def test_any_message_is_read_back_and_weighs_what_was_counted(coding, levels, number):
    message = {"codes": codes_of(levels, coding, number), "scale": np.float32([1.5, -0.0, np.nan])}
    data = pack(message)
    assert 8 * len(data) == packed_bits(weight_of(message))
    found = unpack(data, message)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(message), strict=True):
        assert one.tobytes() == np.asarray(other).tobytes()


def test_the_width_of_a_code_is_the_logarithm_rounded_up():
    assert [int(width(levels)) for levels in (1, 2, 3, 4, 5, 255, 256, 257)] == [0, 1, 2, 2, 3, 8, 8, 9]


def test_groups_of_codes_are_the_known_ones_and_near_the_logarithm():
    assert radix(3) == (17, 27)  # 3^17 < 2^27: 1.588 bits a code, where five in a byte take 1.6
    for levels in range(2, 300):
        codes, bits = radix(levels)
        assert levels**codes <= 2**bits
        assert bits / codes < 1.05 * np.log2(levels) + 0.03


def test_levels_may_be_traced_and_change_without_another_trace():
    traces = []

    @jax.jit
    def weigh(levels):
        traces.append(None)
        return size(Codes([jnp.arange(6) % levels], levels, 256), 0)

    assert [packed_bits(jax.tree.map(np.asarray, weigh(levels))) for levels in (2, 4, 200)] == [8, 16, 48]
    assert len(traces) == 1


def test_a_huffman_code_is_within_a_bit_of_the_entropy_and_no_prefix_of_another():
    counts = np.random.default_rng(0).geometric(0.01, 40) * (np.arange(40) % 3 > 0)
    lengths = huffman_lengths(counts)
    kraft = sum(2.0**-length for length in lengths if length)
    assert kraft == 1.0
    seen = counts[counts > 0]
    entropy = np.sum(seen * np.log2(seen.sum() / seen))
    assert entropy <= np.dot(counts, lengths) < entropy + seen.sum()
    assert huffman_lengths([0, 9, 0]) == [0, 1, 0]
    assert huffman_lengths([1, 1, 2, 4]) == [3, 3, 2, 1]


def test_inside_jit_a_message_weighs_the_same():
    rng = np.random.default_rng(1)
    counts = np.stack([rng.geometric(0.02, 40) * (rng.random(40) < share) for share in (0, 0.05, 0.1, *[0.8] * 20)])
    counts = np.concatenate([counts, np.eye(2, 40, dtype=int) * 7, np.ones((1, 40), int), 2 ** np.eye(40, dtype=int)])
    found = jax.jit(jax.vmap(huffman_total))(jnp.asarray(counts, jnp.int32))
    assert found.tolist() == [int(np.dot(row, huffman_lengths(row))) for row in counts]
    message = {name: codes_of(9, name) for name in CODINGS}
    for sent in (True, False):
        weight = weight_of(message, sent=sent, gated=True)
        assert int(jax.jit(travelling_bits)(weight)) == packed_bits(weight)


def test_the_entropy_is_that_of_the_counts_with_their_table_of_numbers_as_they_are_and_of_a_choice_of_places():
    message = Codes([np.array([0, 0, 1, 1, 2, 2, 3, 3])], 4), np.float32(1), Codes([np.array([5, 7])], 8, 0, "places")
    table = 4 * 3  # Elias' gamma code of 3, four times
    assert entropy_bits(weight_of(message)) == 16 + table + 32 + 5  # 28 pairs of 8 places
    for levels, number in ((1, 1), (4, 1), (1000, 1000), (1000, 10), (84_000, 840)):
        places = Codes([np.arange(number)], levels, 0, "places")
        assert entropy_bits(weight_of(places)) == (math.comb(levels, number) - 1).bit_length()
    one_sided = Codes([np.zeros(8, np.int32)], 2)
    assert entropy_bits(weight_of(one_sided)) == 0 + 7 + 1  # gamma codes of 9 and 1


def test_what_is_not_sent_weighs_one_flag_bit_in_a_gated_system_and_nothing_elsewhere():
    message = codes_of(5, "fixed"), np.float32(1)
    sent, kept = (weight_of(message, sent=flag, gated=True) for flag in (True, False))
    assert packed_bits(kept) == 8 == 8 * len(pack(message, flag=False))
    assert (int(kept.nominal_bits), entropy_bits(kept)) == (0, 1)
    assert packed_bits(sent) == 8 * len(pack(message, flag=True))
    assert packed_bits(weight_of(message, sent=False)) == 0


@pytest.mark.parametrize("coding", ["fixed", "huffman"])
def test_a_byte_that_changes_on_the_way_changes_the_message(coding):
    message = codes_of(9, coding)
    data = bytearray(pack(message))
    data[-2] ^= 0xFF
    assert any(
        (one != np.asarray(other)).any()
        for one, other in zip(jax.tree.leaves(unpack(bytes(data), message)), jax.tree.leaves(message), strict=True)
        if one.shape == other.shape
    )
