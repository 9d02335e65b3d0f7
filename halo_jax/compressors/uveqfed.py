"""UVeQFed: subtractive dithered lattice quantisation of the whole update, entropy coded.

The update is cut into sub-vectors x_m of L elements. With zeta = (2 + R/5) sqrt(sum of squares / number of sub-vectors)
and a dither z_m that both ends draw, uniform on the lattice's Voronoi cell,
q_m = the lattice point nearest to x_m / zeta + z_m is sent, and zeta (q_m - z_m) is rebuilt.
The error is zeta times a uniform point of the cell, whatever x is, until points fall outside the table.

Source: Shlezinger et al., IEEE TSP 69, 2021 (arXiv 2006.03262).
"""

import math
from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Upload, positive, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.parameters import whole

MOST_RATE = {1: 8, 2: 4}
_ROW = math.sqrt(3)  # the distance of rows in the hexagonal lattice of columns (2, 0) and (1, sqrt 3)


def uveqfed(*, rate: Annotated[int, whole(1, 8)] = 2, lattice: Annotated[int, whole(1, 2)] = 2) -> Compressor:
    """R = `rate` nominal bits per element, 1..4, on the hexagonal `lattice` of L = 2 dimensions; 1..8 on that of one.

    The table holds (2 2^R + 1)^L points; an alphabet of so many symbols is Huffman coded with its table.

    Args:
      rate: R, nominal bits per element; at most 4 on a lattice of two dimensions.
      lattice: L, its dimensions.

    Bits: 32 for zeta + R d, which is nominal: Gaussian updates take 1.64, 2.36, 4.06 per element at R = 1, 2, 4.
    """
    if lattice not in MOST_RATE:
        raise ValueError(f"uveqfed: lattice={lattice}; allowed: 1, 2")
    if rate not in range(1, MOST_RATE[lattice] + 1):
        raise ValueError(f"uveqfed: rate={rate}; allowed: 1 to {MOST_RATE[lattice]} at lattice={lattice}")
    most = 2**rate
    # Paper: a cell has the volume 2^(-R L). Points are counted in units of the lattice before it is scaled so.
    unit = 2.0**-rate / (1.0 if lattice == 1 else math.sqrt(2 * _ROW))

    def compress(x, state, context, key):
        del key
        # Choice: element i goes with element i + d/2, not with its neighbour: halves are contiguous in memory.
        flat = tensors_of(x, "flat")[0]
        points = jnp.pad(flat, (0, -flat.size % lattice)).reshape(lattice, -1)
        # Choice: the mean square in place of the variance, the same at zero mean and also right for a constant.
        zeta = (2 + rate / 5) * jnp.sqrt(jnp.sum(points * points) / points.shape[1])
        places = _nearest(points / (positive(zeta) * unit) + _dither(context.shared, (lattice, points.shape[1])), most)
        symbol = places[0] + most
        for place in places[1:]:
            symbol = symbol * (2 * most + 1) + place + most
        return Upload(
            (Codes([symbol], (2 * most + 1) ** lattice, coding="huffman"), zeta), state, 32 + rate * size_of(x)
        )

    def decompress(message, like, context):
        codes, zeta = message
        (symbol,) = codes.values
        side = 2 * most + 1
        places = (symbol - most,) if lattice == 1 else (symbol // side - most, symbol % side - most)
        points = _points(places) - _dither(context.shared, (lattice, symbol.size))
        return rebuild([(points * (zeta * unit)).reshape(-1)[: size_of(like)]], like, "flat")

    return Compressor(compress, decompress)


def _points(places: Sequence[jax.Array]) -> jax.Array:
    """The lattice's points `[L, M]` at whole-number coordinates, one array `[M]` for each dimension."""
    if len(places) == 1:
        return jnp.stack(places).astype(jnp.float32)
    across, row = places
    return jnp.stack([(2 * across + row).astype(jnp.float32), _ROW * row.astype(jnp.float32)])


def _nearest(points: jax.Array, most: int) -> tuple[jax.Array, ...]:
    """Coordinates of the lattice points nearest to `[L, M]`, int32 within -most..most.

    # Choice: what lies outside the table takes a point at its edge (clamped); wrapping would turn an outlier's sign.
    """
    if len(points) == 1:
        return (jnp.clip(jnp.round(points[0]), -most, most).astype(jnp.int32),)
    x, y = points

    def among(parity: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The nearest in even or odd rows alone, which are a rectangular lattice: (distance^2, across, row)."""
        row = jnp.clip(2 * jnp.round((y / _ROW - parity) / 2) + parity, parity - most, most - parity)
        across = jnp.clip(jnp.round((x - row) / 2), -most, most)
        return (x - 2 * across - row) ** 2 + (y - _ROW * row) ** 2, across, row

    (even_distance, *in_even), (odd_distance, *in_odd) = among(0), among(1)
    is_even = even_distance <= odd_distance
    across, row = (jnp.where(is_even, even, odd) for even, odd in zip(in_even, in_odd, strict=True))
    return across.astype(jnp.int32), row.astype(jnp.int32)


def _dither(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Points `[L, M]` uniform on the Voronoi cell: uniform on the lattice's parallelogram, then folded."""
    corner = _points(tuple(jax.random.uniform(key, shape)))
    return corner - _points(_nearest(corner, 2))
