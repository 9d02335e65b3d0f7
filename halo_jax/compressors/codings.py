"""How whole numbers of a small alphabet become bits: four codings, each counted inside jit, written and read.

    fixed     ceil(log2 levels) bits each
    places    the same, for different places out of `levels`: log2 (levels choose k) bits would do for k of them
    radix     several as one whole number: near log2 levels bits each
    huffman   bits by how often each code occurs, and a table of them in front

To add one: its functions here, and a line in CODINGS.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from halo_jax.compressors.huffman import canonical, huffman_lengths, huffman_total

CodingName = Literal["fixed", "places", "radix", "huffman"]
_LENGTH_BITS = 6  # of one code length in Huffman's table; a code of 64 bits would need 10^13 symbols


@flax.struct.dataclass
class Codes:
    """Whole numbers 0 <= n < levels, and how they are packed.

    Attributes:
      values: a tree of integer arrays.
      levels: the size of the alphabet, which both ends know; may be traced, int32 `[]`, if the coding is `fixed`.
      most: a static bound of `levels`; 0 means that `levels` is static itself.
      coding: a key of CODINGS.
    """

    values: Any
    levels: Any
    most: int = flax.struct.field(pytree_node=False, default=0)
    coding: CodingName = flax.struct.field(pytree_node=False, default="fixed")

    @property
    def alphabet(self) -> int:
        """How many different codes there may be."""
        return self.most or int(self.levels)

    @property
    def number(self) -> int:
        """How many codes there are."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.values))


class CountedBits(NamedTuple):
    """Bits that depend on how often each code occurs: counts int `[K]` of one message -> a whole number."""

    on_host: Callable[[np.ndarray], int]
    inside_jit: Callable[[jax.Array], jax.Array]


class Coding(NamedTuple):
    """One way to write codes.

    Attributes:
      write: (Codes, its values int64 `[n]`) -> bits, uint8 `[b]`.
      read: (bits uint8, Codes of which only alphabet and number are read) -> the values int64 `[n]`, and b.
      fixed_bits: Codes -> the bits that it takes whichever codes they are; traced, int32 `[]`, if `levels` is.
      counted_bits: those that it takes beside these, if there are any.
      ideal_bits: Codes -> what an ideal coder takes, where that does not follow from how often each code occurs.
    """

    write: Callable[[Codes, np.ndarray], np.ndarray]
    read: Callable[[np.ndarray, Codes], tuple[np.ndarray, int]]
    fixed_bits: Callable[[Codes], Any]
    counted_bits: CountedBits | None = None
    ideal_bits: Callable[[Codes], int] | None = None


class RadixGroup(NamedTuple):
    """So many codes that are written as one whole number of so many bits."""

    codes: int
    bits: int


def width(levels: Any) -> Any:
    """ceil(log2 levels), the bits of one code of so many; 0 for a single level. Exact for traced levels."""
    return 32 - lax.clz(jnp.asarray(levels, jnp.int32) - 1)


def radix(levels: int) -> RadixGroup:
    """The shortest way to write up to 20 codes of so many levels as one whole number of up to 62 bits."""
    groups = [RadixGroup(m, max(1, (levels**m - 1).bit_length())) for m in range(1, 21)]
    return min((g for g in groups if g.bits <= 62), key=lambda group: (group.bits / group.codes, group.codes))


def histogram(codes: Codes) -> jax.Array:
    """How often each code occurs, int32 `[K]`."""
    counts = jnp.zeros(codes.alphabet, jnp.int32)
    for leaf in jax.tree.leaves(codes.values):
        counts = counts.at[leaf.reshape(-1)].add(1)
    return counts


def _write_fixed(codes: Codes, values: np.ndarray) -> np.ndarray:
    return _to_bits(values, int(width(codes.levels)))


def _read_fixed(bits: np.ndarray, codes: Codes) -> tuple[np.ndarray, int]:
    each = int(width(codes.levels))
    taken = codes.number * each
    return (_from_bits(bits[:taken], each) if each else np.zeros(codes.number, np.int64)), taken


def _fixed_bits(codes: Codes) -> Any:
    return codes.number * width(codes.levels)


def _choice_bits(codes: Codes) -> int:
    """log2 (levels choose number), rounded up."""
    levels, number = codes.alphabet, codes.number
    log = math.lgamma(levels + 1) - math.lgamma(number + 1) - math.lgamma(levels - number + 1)
    return math.ceil(log / math.log(2) - 1e-6)


def _write_radix(codes: Codes, values: np.ndarray) -> np.ndarray:
    group = radix(codes.alphabet)
    digits = np.pad(values, (0, -len(values) % group.codes)).reshape(-1, group.codes)
    return _to_bits(digits @ codes.alphabet ** np.arange(group.codes, dtype=np.int64), group.bits)


def _read_radix(bits: np.ndarray, codes: Codes) -> tuple[np.ndarray, int]:
    group, taken = radix(codes.alphabet), _radix_bits(codes)
    numbers = _from_bits(bits[:taken], group.bits)
    digits = numbers[:, None] // codes.alphabet ** np.arange(group.codes, dtype=np.int64) % codes.alphabet
    return digits.reshape(-1)[: codes.number], taken


def _radix_bits(codes: Codes) -> int:
    group = radix(codes.alphabet)
    return -(-codes.number // group.codes) * group.bits


def _write_huffman(codes: Codes, values: np.ndarray) -> np.ndarray:
    lengths = huffman_lengths(np.bincount(values, minlength=codes.alphabet))
    bits_of = {value: np.array([*text], np.uint8) for value, text in canonical(lengths).items()}
    table = _to_bits(np.array(lengths, np.int64), _LENGTH_BITS)
    return np.concatenate([table, *(bits_of[value] for value in values.tolist())])


def _read_huffman(bits: np.ndarray, codes: Codes) -> tuple[np.ndarray, int]:
    taken = codes.alphabet * _LENGTH_BITS
    lengths = _from_bits(bits[:taken], _LENGTH_BITS).tolist()
    value_of = {text: value for value, text in canonical(lengths).items()}
    values, text = [], ""
    for bit in bits[taken:].tolist():
        if len(values) == codes.number:
            break
        taken, text = taken + 1, text + str(bit)
        if text in value_of:
            values.append(value_of[text])
            text = ""
    return np.array(values, np.int64), taken


def _no_bits(codes: Codes) -> int:
    return 0


def _huffman_bits(counts: np.ndarray) -> int:
    if not counts.any():
        return 0
    lengths = huffman_lengths(counts)
    return len(counts) * _LENGTH_BITS + sum(n * length for n, length in zip(counts.tolist(), lengths, strict=True))


def _huffman_bits_inside_jit(counts: jax.Array) -> jax.Array:
    return jnp.where(counts.any(), len(counts) * _LENGTH_BITS + huffman_total(counts), 0)


def _to_bits(numbers: np.ndarray, each: int) -> np.ndarray:
    """Each number as so many bits, the highest first."""
    return ((numbers[:, None] >> np.arange(each - 1, -1, -1)) & 1).astype(np.uint8).reshape(-1)


def _from_bits(bits: np.ndarray, each: int) -> np.ndarray:
    """The reverse of `_to_bits`, int64."""
    return bits.reshape(-1, each).astype(np.int64) @ (1 << np.arange(each - 1, -1, -1, dtype=np.int64))


CODINGS: dict[str, Coding] = {
    "fixed": Coding(_write_fixed, _read_fixed, _fixed_bits),
    "places": Coding(_write_fixed, _read_fixed, _fixed_bits, ideal_bits=_choice_bits),
    "radix": Coding(_write_radix, _read_radix, _radix_bits),
    "huffman": Coding(_write_huffman, _read_huffman, _no_bits, CountedBits(_huffman_bits, _huffman_bits_inside_jit)),
}
