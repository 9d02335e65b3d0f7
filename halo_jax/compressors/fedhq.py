"""FedHQ and FedHQ+: clients quantise with bits of their own, and the coarser a client, the less it weighs.

The bound on convergence for E Q(x) = x and E||Q(x) - x||^2 <= q ||x||^2 is least when client i weighs in proportion to
1 / (1 + q_i): FedHQ takes the quantiser's constant q_i, FedHQ+ the q_i of this very update, which the client reports.

The quantiser is QSGD with b bits: s = 2^(b-1) - 1 levels above zero and the largest element of a tensor as its scale.

Source: Chen, Shen, Zhang, Tang, IEEE TWC 20(10), 2021.
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Server, Upload, positive, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.compressors.qsgd import Quantised, decode, encode
from halo_jax.parameters import numbers

LEAST_BITS, MOST_BITS = 2, 8


class Message(NamedTuple):
    """What a client sends: its update, and in FedHQ+ its q_i."""

    codes: Codes
    scales: list[jax.Array]
    reported: list[jax.Array]


def _is_bits(value: Any) -> bool:
    return type(value) is int and 2 <= value <= 8


CLIENT_BITS = numbers("whole numbers from 2 to 8; empty: the client's weight bits", _is_bits)


def fedhq(*, client_bits: Annotated[tuple[int, ...], CLIENT_BITS] = (4, 8)) -> Compressor:
    """Client i has b = `client_bits`[i mod their number], 2..8 each; or the bits of its weights, if there are none.

    Args:
      client_bits: bits that are dealt to clients in turn; empty: the client's weight bits.

    Bits: sum over tensors of (32 + b n).
    """
    return weighted("fedhq", client_bits, reports=False)


def worst_error(tensors: list[jax.Array], levels: Any) -> jax.Array:
    """The least q with E||Q(x) - x||^2 <= q ||x||^2 for all x: (sqrt(1 + (n - 1) / s^2) - 1) / 2.

    n is that of the largest tensor. One element is the scale and has no error; the other n - 1 err most for their size
    if all are y = 1 / (2 (1 + q)) of a level: then q = (n - 1) y (1 - y) / (s^2 + (n - 1) y^2).
    """
    ratio = (max(tensor.size for tensor in tensors) - 1) / jnp.square(jnp.float32(levels))
    return ratio / (2 * (jnp.sqrt(1 + ratio) + 1))


def expected_error(tensors: list[jax.Array], scales: list[jax.Array], levels: Any) -> jax.Array:
    """E||Q(x) - x||^2 / ||x||^2 over the rounding, sum of scale^2 f (1 - f) / s^2 / ||x||^2; f: what SR cuts off.

    Scales count relative to the largest, so that squares stay within float32.
    """
    peak = positive(jnp.max(jnp.stack(scales)))
    error, norm = jnp.float32(0), jnp.float32(0)
    for tensor, scale in zip(tensors, scales, strict=True):
        share = jnp.abs(tensor) / positive(scale)
        cut = share * levels - jnp.floor(share * levels)
        weight = jnp.square(scale / peak)
        error += weight * jnp.sum(cut * (1 - cut))
        norm += weight * jnp.sum(jnp.square(share))
    return error / (positive(norm) * jnp.square(jnp.float32(levels)))


def weighted(name: str, client_bits: tuple[int, ...], *, reports: bool) -> Compressor:
    """Both variants: a client that `reports` sends the q_i of its own update, else q_i follows from its bits."""
    if any(bits not in range(LEAST_BITS, MOST_BITS + 1) for bits in client_bits):
        raise ValueError(f"{name}: client_bits={client_bits}; allowed: numbers of {LEAST_BITS} to {MOST_BITS}, or none")

    def bits_of(context):
        if not client_bits:
            return context.precision.weights
        return jnp.array(client_bits, jnp.int32)[context.client % len(client_bits)]

    def compress(x, state, context, key):
        del state
        tensors, bits = tensors_of(x), bits_of(context)
        levels = (1 << (bits - 1)) - 1
        update = encode(tensors, levels, "max", key, most=2 ** (MOST_BITS - 1) - 1)
        # Choice: the paper leaves q_i of a format open. Relative to the vector, not the worst element as in the
        # published experiments, which an element near zero decides.
        error = expected_error(tensors, update.scales, levels) if reports else worst_error(tensors, levels)
        return Upload(
            Message(*update, [error] if reports else []), error, 32 * (len(tensors) + reports) + size_of(x) * bits
        )

    def decompress(message, like, context):
        update = Quantised(message.codes, message.scales)
        return rebuild(decode(update, (1 << (bits_of(context) - 1)) - 1), like)

    def weigh(examples, errors):
        # Choice: the paper has clients of equal data; with others their examples count as in Eq. 1.
        return examples / (1 + errors)

    def init(weights):
        del weights
        return jnp.float32(0)

    server, differ = Server(weigh=weigh), len(set(client_bits)) != 1
    return Compressor(compress, decompress, init, server=server, client_bits=differ)
