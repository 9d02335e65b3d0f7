"""Messages as bytes, and what they weigh. Whatever a compressor sends is packed, unpacked and counted here.

A message is a tree of `Codes` (whole numbers of a small alphabet) and of arrays of 32-bit numbers. `size` counts it
inside jit, in whole numbers, and `travelling_bits` finishes the count there; `packed_bits` and `entropy_bits` finish it
on the host; `pack` writes the bytes, exactly `packed_bits` of them, and `unpack` reads them back.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from halo_jax.compressors.huffman import canonical, huffman_lengths, huffman_total

Coding = Literal["fixed", "places", "radix", "huffman"]
_LENGTH_BITS = 6  # of one code length in Huffman's table; a code of 64 bits would need 10^13 symbols


@flax.struct.dataclass
class Codes:
    """Whole numbers 0 <= n < levels, and how they are packed.

    Attributes:
      values: a tree of integer arrays.
      levels: the size of the alphabet, which both ends know; may be traced, int32 `[]`.
      most: a static bound of `levels`; 0 means that `levels` is static itself.
      coding: `fixed`, ceil(log2 levels) bits each; `places`, the same for k different places out of `levels` (static),
        of which an ideal coder needs log2 (levels choose k); `radix`, several in one whole number, near log2 levels
        (`levels` static); `huffman`, a Huffman code of the whole message, its table included.
    """

    values: Any
    levels: Any
    most: int = flax.struct.field(pytree_node=False, default=0)
    coding: Coding = flax.struct.field(pytree_node=False, default="fixed")

    @property
    def alphabet(self) -> int:
        """How many different codes there may be."""
        return self.most or int(self.levels)


@flax.struct.dataclass
class Counts:
    """How often each code occurs, int32 `[K]`, and how such codes are packed."""

    counts: jax.Array
    coding: Coding = flax.struct.field(pytree_node=False)


class Size(NamedTuple):
    """The weight of a message, whole numbers int32, stacked like the message.

    `fixed_bits` are those of all parts but Huffman's; `raw_bits` those of an ideal coder for what is not in `codes`.
    """

    nominal_bits: jax.Array
    fixed_bits: jax.Array
    raw_bits: jax.Array
    codes: tuple[Counts, ...]


def width(levels: Any) -> Any:
    """ceil(log2 levels), the bits of one code of so many; 0 for a single level. Exact for traced levels."""
    return 32 - lax.clz(jnp.asarray(levels, jnp.int32) - 1)


def radix(levels: int) -> tuple[int, int]:
    """(codes, bits) of a group: the shortest way to write up to 20 codes as one whole number of up to 62 bits."""
    groups = [(m, max(1, (levels**m - 1).bit_length())) for m in range(1, 21)]
    return min((g for g in groups if g[1] <= 62), key=lambda group: (group[1] / group[0], group[0]))


def size(message: Any, nominal_bits: Any, sent: Any = True, *, gated: bool = False) -> Size:
    """Count a message inside jit; one that is not `sent` weighs nothing, and `gated` ones carry a flag bit."""
    sent = jnp.asarray(sent, jnp.int32)
    raw, fixed, counts = jnp.int32(0), jnp.int32(0), []
    for part in _parts(message):
        if not isinstance(part, Codes):
            raw += 32 * part.size
            fixed += 32 * part.size
            continue
        number = sum(leaf.size for leaf in jax.tree.leaves(part.values))
        if part.coding in ("fixed", "places"):
            fixed += number * width(part.levels)
        if part.coding == "places":
            raw += _choice_bits(part.alphabet, number)
            continue
        if part.coding == "radix":
            grouped, bits = radix(part.alphabet)
            fixed += -(-number // grouped) * bits
        counts.append(Counts(sent * _histogram(part), part.coding))
    return Size(
        nominal_bits=sent * jnp.asarray(nominal_bits, jnp.int32),
        fixed_bits=sent * fixed + int(gated),
        raw_bits=sent * raw + int(gated),
        codes=tuple(counts),
    )


def packed_bits(weight: Size) -> int:
    """8 x the bytes that `pack` writes, from one message's `size`."""
    huffman = [_huffman_bits(np.asarray(part.counts)) for part in weight.codes if part.coding == "huffman"]
    return 8 * math.ceil((int(weight.fixed_bits) + sum(huffman)) / 8)


def travelling_bits(weight: Size) -> jax.Array:
    """`packed_bits` inside jit, int32 `[]`."""
    huffman = [_huffman_bits_traced(part.counts) for part in weight.codes if part.coding == "huffman"]
    return 8 * -(-sum(huffman, weight.fixed_bits) // 8)


def entropy_bits(weight: Size) -> int:
    """The ideal coder: sum of n_k log2(n / n_k) over the codes, rounded up, and Elias' gamma code of each n_k + 1."""
    total = int(weight.raw_bits)
    for part in weight.codes:
        counts = np.asarray(part.counts).astype(np.int64)
        seen = counts[counts > 0].astype(np.float64)
        if seen.size:
            total += math.ceil(math.fsum(seen * np.log2(seen.sum() / seen)))
            total += int((2 * np.floor(np.log2(counts + 1)) + 1).sum())
    return total


def pack(message: Any, *, flag: bool | None = None) -> bytes:
    """The message as bytes, on the host; `flag` writes the flag bit of a gated one first, and alone if it is False."""
    bits = [] if flag is None else [np.array([flag], np.uint8)]
    if flag is not False:
        bits += [_bits_of(part) for part in _parts(jax.tree.map(np.asarray, message))]
    return np.packbits(np.concatenate(bits)).tobytes()


def unpack(data: bytes, like: Any) -> Any:
    """The message in `data`; of `like` only shapes, dtypes and `levels` are read. The flag bit is the caller's."""
    bits, at, found = np.unpackbits(np.frombuffer(data, np.uint8)), 0, []
    for part in _parts(jax.tree.map(np.asarray, like)):
        if isinstance(part, Codes):
            leaves, structure = jax.tree.flatten(part.values)
            number = sum(leaf.size for leaf in leaves)
            flat, taken = _read_codes(bits[at:], part, number)
            split = np.split(flat, np.cumsum([leaf.size for leaf in leaves])[:-1])
            shaped = [p.reshape(leaf.shape).astype(leaf.dtype) for p, leaf in zip(split, leaves, strict=True)]
            found.append(Codes(structure.unflatten(shaped), part.levels, part.most, part.coding))
        else:
            taken = 32 * part.size
            words = np.packbits(bits[at : at + taken]).view(">u4").astype(np.uint32)
            found.append(words.view(part.dtype).reshape(part.shape))
        at += taken
    return jax.tree.unflatten(jax.tree.structure(like, is_leaf=_is_codes), found)


def _choice_bits(levels: int, number: int) -> int:
    """log2 (levels choose number), rounded up."""
    log = math.lgamma(levels + 1) - math.lgamma(number + 1) - math.lgamma(levels - number + 1)
    return math.ceil(log / math.log(2) - 1e-6)


def _is_codes(node: Any) -> bool:
    return isinstance(node, Codes)


def _parts(message: Any) -> Iterator[Any]:
    yield from jax.tree.leaves(message, is_leaf=_is_codes)


def _histogram(part: Codes) -> jax.Array:
    counts = jnp.zeros(part.alphabet, jnp.int32)
    for leaf in jax.tree.leaves(part.values):
        counts = counts.at[leaf.reshape(-1)].add(1)
    return counts


def _bits_of(part: Any) -> np.ndarray:
    """One part as an array of bits."""
    if not isinstance(part, Codes):
        return np.unpackbits(part.reshape(-1).view(np.uint32).astype(">u4").view(np.uint8))
    flat = np.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(part.values)]).astype(np.int64)
    if part.coding in ("fixed", "places"):
        return _binary(flat, int(width(part.levels)))
    if part.coding == "radix":
        grouped, bits = radix(part.alphabet)
        padded = np.pad(flat, (0, -len(flat) % grouped)).reshape(-1, grouped)
        return _binary(padded @ part.alphabet ** np.arange(grouped, dtype=np.int64), bits)
    lengths = huffman_lengths(np.bincount(flat, minlength=part.alphabet))
    codes = canonical(lengths)
    texts = {code: np.array([*bits], np.uint8) for code, bits in codes.items()}
    table = _binary(np.array(lengths, np.int64), _LENGTH_BITS)
    return np.concatenate([table, *(texts[code] for code in flat.tolist())])


def _binary(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Each number as `bits` bits, the highest first."""
    return ((numbers[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).reshape(-1)


def _number(bits: np.ndarray, each: int) -> np.ndarray:
    """The reverse of `_binary`."""
    return bits.reshape(-1, each).astype(np.int64) @ (1 << np.arange(each - 1, -1, -1, dtype=np.int64))


def _read_codes(bits: np.ndarray, part: Codes, number: int) -> tuple[np.ndarray, int]:
    """`number` codes from the start of `bits`, and how many bits they took."""
    if part.coding in ("fixed", "places"):
        each = int(width(part.levels))
        return (_number(bits[: number * each], each) if each else np.zeros(number, np.int64)), number * each
    if part.coding == "radix":
        grouped, each = radix(part.alphabet)
        taken = -(-number // grouped) * each
        digits = _number(bits[:taken], each)[:, None] // part.alphabet ** np.arange(grouped, dtype=np.int64)
        return (digits % part.alphabet).reshape(-1)[:number], taken
    at = part.alphabet * _LENGTH_BITS
    names = {text: code for code, text in canonical(_number(bits[:at], _LENGTH_BITS).tolist()).items()}
    found, text = [], ""
    for bit in bits[at:].tolist():
        if len(found) == number:
            break
        at, text = at + 1, text + str(bit)
        if text in names:
            found.append(names[text])
            text = ""
    return np.array(found, np.int64), at


def _huffman_bits(counts: np.ndarray) -> int:
    if not counts.any():
        return 0
    return len(counts) * _LENGTH_BITS + sum(
        n * k for n, k in zip(counts.tolist(), huffman_lengths(counts), strict=True)
    )


def _huffman_bits_traced(counts: jax.Array) -> jax.Array:
    return jnp.where(counts.any(), len(counts) * _LENGTH_BITS + huffman_total(counts), 0)
