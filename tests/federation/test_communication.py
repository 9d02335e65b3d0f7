"""What one client exchanges with the server: the size of all that it is sent, and a gate that keeps a message back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors.base import Broadcast as Message
from halo_jax.compressors.base import Compressor, Server, Upload
from halo_jax.compressors.wire import Codes, entropy_bits, packed_bits, size, travelling_bits
from halo_jax.federation.communication import broadcast, exchange
from halo_jax.federation.local_training import Trained
from halo_jax.federation.participants import Client, ClientMemory, Shared
from halo_jax.federation.stages import Stages
from halo_jax.recipes import RECIPES
from halo_jax.types import Precision

KEY = jax.random.key(0)
MODEL = {"kernel": jnp.linspace(-1, 1, 45)}
CODES = jnp.arange(45) ** 2 % 5
MESSAGES = {
    "floats": MODEL,
    "fixed": Codes(CODES, 5),
    "radix": Codes(CODES, 5, coding="radix"),
    "huffman": Codes(CODES, 5, coding="huffman"),
}


def exchanged(message, *, whole: int = 0, extra: int = 0, sent: bool = True, remembers: bool = False):
    """(what was broadcast, what one client exchanged) for a compressor that says so."""
    compressor = Compressor(
        compress=lambda x, state, context, key: Upload(x, state, 7, sent, extra, whole),
        decompress=lambda message, like, context: message,
        carries="weights",
        remembers=remembers,
        server=Server(broadcast=lambda weights, state, key: Message(weights, message, 99, state)),
    )
    stages = Stages(RECIPES["float32"](), None, None, compressor, None)
    downlink = broadcast(MODEL, (), stages, None)
    held = {"kernel": jnp.full(45, 3.0)} if remembers else ()
    known = {"id": jnp.int32(2), "precision": Precision(8, 8, 8), "memory": ClientMemory((), held)}
    client = Client(**{**dict.fromkeys(Client._fields), **known})
    shared = Shared(downlink, None, None, KEY, jnp.int32(0))
    return downlink, exchange(stages, client, Trained(MODEL, jnp.float32(0), None), shared, ())


def counted(size):
    return packed_bits(size), int(size.nominal_bits), entropy_bits(size)


@pytest.mark.parametrize("coding", MESSAGES)
def test_a_client_is_sent_the_broadcast_and_what_comes_beside_it(coding):
    message = size(MESSAGES[coding], 99)
    downlink, plain = exchanged(MESSAGES[coding])
    assert counted(downlink.size) == counted(plain.down_size) == counted(message)
    _, more = exchanged(MESSAGES[coding], extra=64)
    assert counted(more.down_size) == tuple(bits + 64 for bits in counted(message))
    assert int(travelling_bits(more.down_size)) == packed_bits(message) + 64


@pytest.mark.parametrize("coding", MESSAGES)
def test_a_client_that_has_missed_rounds_is_sent_the_whole_model_in_its_place(coding):
    _, missed = exchanged(MESSAGES[coding], whole=1441, extra=32)
    assert counted(missed.down_size) == (1480, 1473, 1473)  # whole bytes
    assert int(travelling_bits(missed.down_size)) == 1480


def test_of_a_message_that_a_gate_keeps_back_one_bit_travels_and_the_server_goes_on_with_the_last():
    _, kept = exchanged(MODEL, sent=False, remembers=True)
    assert counted(kept.up_size) == (8, 0, 1)
    assert not kept.uploaded
    np.testing.assert_array_equal(kept.received["kernel"], np.full(45, 3.0))
    np.testing.assert_array_equal(kept.memory.held["kernel"], np.full(45, 3.0))
    _, sent = exchanged(MODEL, remembers=True)
    assert counted(sent.up_size)[0] == 45 * 32 + 8
    np.testing.assert_array_equal(sent.memory.held["kernel"], MODEL["kernel"])
    assert (sent.fingerprint != kept.fingerprint).any()
