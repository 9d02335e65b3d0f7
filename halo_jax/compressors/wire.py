"""Messages as bytes, and their size. Whatever a compressor sends is packed, unpacked and counted here.

A message is a tree of `Codes` (whole numbers of a small alphabet) and of arrays of 32-bit numbers. `size` counts it
inside jit, in whole numbers, and `travelling_bits` finishes the count there; `packed_bits` and `entropy_bits` finish it
on the host; `pack` writes the bytes, exactly `packed_bits` of them, and `unpack` reads them back. How codes become bits
is `codings`.
"""

import math
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.compressors.codings import CODINGS, Codes, CodingName, histogram


@flax.struct.dataclass
class Counts:
    """How often each code occurs, int32 `[K]`, and how such codes are packed."""

    counts: jax.Array
    coding: CodingName = flax.struct.field(pytree_node=False)


class Size(NamedTuple):
    """What is known inside jit of the size of a message, whole numbers int32, stacked like the message.

    Attributes:
      nominal_bits: what the formula of the compressor's paper counts.
      fixed_bits: those that are packed, but for those of `codes` that depend on how often each code occurs.
      raw_bits: those of an ideal coder for what is not in `codes`.
      codes: how often each code occurs, for each `Codes` of which the ideal coder needs to know.
    """

    nominal_bits: jax.Array
    fixed_bits: jax.Array
    raw_bits: jax.Array
    codes: tuple[Counts, ...]


def size(message: Any, nominal_bits: Any, sent: Any = True, *, gated: bool = False) -> Size:
    """Count a message inside jit.

    Args:
      message: a tree of `Codes` and arrays of 32-bit numbers.
      nominal_bits: what the paper's formula counts, int32 `[]`.
      sent: bool `[]`; a message that is not sent has no size but its flag.
      gated: whether a flag bit tells if it is sent.

    Returns:
      Its size; `packed_bits`, `travelling_bits` and `entropy_bits` make one number of it.
    """
    times_sent = jnp.asarray(sent, jnp.int32)  # 0 or 1
    raw, fixed, counts = jnp.int32(0), jnp.int32(0), []
    for piece in _pieces(message):
        if not isinstance(piece, Codes):
            raw += 32 * piece.size
            fixed += 32 * piece.size
            continue
        coding = CODINGS[piece.coding]
        fixed += coding.fixed_bits(piece)
        if coding.ideal_bits is None:
            counts.append(Counts(times_sent * histogram(piece), piece.coding))
        else:
            raw += coding.ideal_bits(piece)
    return Size(
        nominal_bits=times_sent * jnp.asarray(nominal_bits, jnp.int32),
        fixed_bits=times_sent * fixed + int(gated),
        raw_bits=times_sent * raw + int(gated),
        codes=tuple(counts),
    )


def packed_bits(message_size: Size) -> int:
    """8 x the bytes that `pack` writes, from one message's `size`."""
    bits = int(message_size.fixed_bits)
    for codes in message_size.codes:
        counted = CODINGS[codes.coding].counted_bits
        bits += 0 if counted is None else counted.on_host(np.asarray(codes.counts))
    return 8 * math.ceil(bits / 8)


def travelling_bits(message_size: Size) -> jax.Array:
    """`packed_bits` inside jit, int32 `[]`."""
    bits = message_size.fixed_bits
    for codes in message_size.codes:
        counted = CODINGS[codes.coding].counted_bits
        bits = bits if counted is None else bits + counted.inside_jit(codes.counts)
    return 8 * -(-bits // 8)


def entropy_bits(message_size: Size) -> int:
    """The ideal coder: sum of n_k log2(n / n_k) over the codes, rounded up, and Elias' gamma code of each n_k + 1."""
    total = int(message_size.raw_bits)
    for codes in message_size.codes:
        counts = np.asarray(codes.counts).astype(np.int64)
        seen = counts[counts > 0].astype(np.float64)
        if seen.size:
            total += math.ceil(math.fsum(seen * np.log2(seen.sum() / seen)))
            total += int((2 * np.floor(np.log2(counts + 1)) + 1).sum())
    return total


def pack(message: Any, *, flag: bool | None = None) -> bytes:
    """The message as bytes, on the host; `flag` writes the flag bit of a gated one first, and alone if it is False."""
    bits = [] if flag is None else [np.array([flag], np.uint8)]
    if flag is not False:
        bits += [_bits_of(piece) for piece in _pieces(jax.tree.map(np.asarray, message))]
    return np.packbits(np.concatenate(bits)).tobytes()


def unpack(data: bytes, like: Any) -> Any:
    """The message in `data`; of `like` only shapes, dtypes and `levels` are read. The flag bit is the caller's."""
    bits, pieces = np.unpackbits(np.frombuffer(data, np.uint8)), []
    for piece in _pieces(jax.tree.map(np.asarray, like)):
        if isinstance(piece, Codes):
            values, taken = CODINGS[piece.coding].read(bits, piece)
            pieces.append(Codes(_like(piece.values, values), piece.levels, piece.most, piece.coding))
        else:
            taken = 32 * piece.size
            words = np.packbits(bits[:taken]).view(">u4").astype(np.uint32)
            pieces.append(words.view(piece.dtype).reshape(piece.shape))
        bits = bits[taken:]
    return jax.tree.unflatten(jax.tree.structure(like, is_leaf=_is_codes), pieces)


def _pieces(message: Any) -> list[Any]:
    """The `Codes` and arrays of a message, in their order."""
    return jax.tree.leaves(message, is_leaf=_is_codes)


def _is_codes(node: Any) -> bool:
    return isinstance(node, Codes)


def _bits_of(piece: Any) -> np.ndarray:
    """A piece of a message as bits, uint8."""
    if not isinstance(piece, Codes):
        return np.unpackbits(piece.reshape(-1).view(np.uint32).astype(">u4").view(np.uint8))
    flat = np.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(piece.values)]).astype(np.int64)
    return CODINGS[piece.coding].write(piece, flat)


def _like(tree: Any, flat: np.ndarray) -> Any:
    """Flat values in the shapes and dtypes of a tree."""
    leaves, structure = jax.tree.flatten(tree)
    cut = np.split(flat, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return structure.unflatten([v.reshape(leaf.shape).astype(leaf.dtype) for v, leaf in zip(cut, leaves, strict=True)])
