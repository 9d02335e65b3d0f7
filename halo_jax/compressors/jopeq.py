"""JoPEQ: subtractive dithered quantisation whose error is a part of the noise that hides the update.

Each tensor is cut into sub-vectors of L elements and normalised, h = (x - mean) / (3 sigma), ||h|| <= 1 by clipping.
With private noise n, a dither w that both ends draw, uniform on [-1/2, 1/2]^L, and a lattice of columns Delta G where
Delta = 2 gamma / (2^R + 1) and gamma = 1.5 sqrt(1 + variance of the target law),
k = round((Delta G)^-1 (h + n) + w), |k| <= 2^(R-1), is sent, and mean + 3 sigma Delta G (k - w) is rebuilt:
h + n and a uniform error that is independent of both, until k is clipped.

For epsilon n and the error together should follow Laplace's law of scale b = 2 / epsilon (L = 1) or a t-law (L = 2).

Source: Lang et al., IEEE TSP 71, 2023 (arXiv 2208.10888).
"""

import math
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.compressors.base import Compressor, Upload, draws, positive, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.parameters import real, whole

MOST_RATE = 8
T_LAWS: dict[float, tuple[float, int]] = {1: (2.0, 3), 2: (0.5, 4), 3: (0.5, 14), 4: (0.2, 4)}  # epsilon: (sigma^2, nu)
# sin(pi v / 2) / v as a polynomial of v^2, highest power first, to 1e-7: the library's sine costs as much as the rest.
_SINE = np.array([(-1) ** k * (math.pi / 2) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(5, -1, -1)], "f4")
_HEXAGONAL = np.array([[1, 0], [1 / math.sqrt(3), 2 / math.sqrt(3)]])


class Law(NamedTuple):
    """How the noise is made: n = `spread` times standard noise, of `freedom` degrees in the t-law, 0 for Laplace's."""

    basis: np.ndarray  # Delta G, [L, L]
    spread: np.ndarray  # [L, L]
    freedom: int


def jopeq(
    *,
    rate: Annotated[int, whole(1, 8)] = 1,
    epsilon: Annotated[float, real(0, 1e6, above=True)] = 4.0,
    lattice: Annotated[int, whole(1, 2)] = 1,
) -> Compressor:
    """R = `rate`, 1..8: 2^R + 1 levels per dimension; `epsilon` of an element (L=1) or a pair (L=2), each round.

    `lattice` L = 1 takes any epsilon that leaves room for n, below 9.38 at R = 1; L = 2 takes 1, 2, 3 or 4.
    n alone vouches for 2 / (its own scale), 4.62 at the defaults. Means and sigmas travel in the clear.

    Args:
      rate: R, nominal bits per element.
      epsilon: privacy budget of an element (or a pair, if L = 2) in a round.
      lattice: L, its dimensions.

    Bits: d log2(2^R + 1), rounded up, + 32 (L + 1) per tensor.
    """
    if rate not in range(1, MOST_RATE + 1):
        raise ValueError(f"jopeq: rate={rate}; allowed: 1 to {MOST_RATE}")
    if lattice not in (1, 2):
        raise ValueError(f"jopeq: lattice={lattice}; allowed: 1, 2")
    law = (laplace if lattice == 1 else student)(rate, epsilon)
    most = 2 ** (rate - 1)

    def compress(x, state, context, key):
        tensors = tensors_of(x)
        shapes = [_columns(tensor, lattice) for tensor in tensors]
        noise = zip(draws(context.shared, shapes), draws(key, shapes), strict=True)
        encoded = [_encode(tensor, law, most, *pair) for tensor, pair in zip(tensors, noise, strict=True)]
        codes, scales = zip(*encoded, strict=True)
        bits = math.ceil(size_of(x) * math.log2(2 * most + 1)) + 32 * (lattice + 1) * len(tensors)
        return Upload((Codes([*codes], 2 * most + 1, coding="radix"), [*scales]), state, bits)

    def decompress(message, like, context):
        codes, scales = message
        pieces = zip(codes.values, draws(context.shared, codes.values), scales, tensors_of(like), strict=True)
        return rebuild(
            [_decode(code - most, law, dither, scale, tensor) for code, dither, scale, tensor in pieces], like
        )

    return Compressor(compress, decompress, feedback=False)  # a memory would take the noise back


def laplace(rate: int, epsilon: float) -> Law:
    """The scalar law: n is Laplace's, of variance 2 b^2 - Delta^2 / 12.

    # Choice: the sum has the target's variance, not its law (they differ by 0.045 in distribution at the defaults).
    # Paper: n has the characteristic function (1 + b^2 t^2)^-1 / sinc(Delta t / 2). It has poles at the zeros of the
    # sinc for every Delta > 0, so no such law exists.
    """
    share = 0.75 / (2**rate + 1) ** 2  # Delta^2 / 12 = share (1 + 2 b^2)
    limit = 2 * math.sqrt(2 * (1 - share) / share)
    if not 0 < epsilon < limit:
        raise ValueError(f"jopeq: epsilon={epsilon}; allowed: above 0 and below {limit:.2f} at rate={rate}, lattice=1")
    variance = 2 * (2 / epsilon) ** 2
    basis = np.full((1, 1), _step(rate, variance))
    return Law(basis, np.sqrt((variance - basis**2 / 12) / 2), 0)


def student(rate: int, epsilon: float) -> Law:
    """The law of pairs: n is a t-law of the target's nu, with the target's covariance less that of the error."""
    if epsilon not in T_LAWS:
        raise ValueError(f"jopeq: epsilon={epsilon}; allowed: {', '.join(map(str, T_LAWS))} at lattice=2")
    square, freedom = T_LAWS[int(epsilon)]
    variance = square * freedom / (freedom - 2)
    basis = _step(rate, variance) * _HEXAGONAL
    covariance = variance * np.eye(2) - basis @ basis.T / 12
    return Law(basis, np.linalg.cholesky(covariance * (freedom - 2) / freedom), freedom)


def _encode(tensor: jax.Array, law: Law, most: int, shared: jax.Array, private: jax.Array):
    points = _columns(tensor, len(law.basis))
    mean = jnp.mean(points, axis=1, keepdims=True)
    sigma = jnp.sqrt(jnp.sum((points - mean) ** 2) / points.shape[1])
    h = (points - mean) / positive(3 * sigma)
    # Choice: h is clipped; without a bound on h its noise promises nothing.
    h = h / jnp.maximum(1, jnp.linalg.norm(h, axis=0))
    noisy = h + _times(law.spread, _noise(private, law.freedom))
    places = jnp.round(_times(np.linalg.inv(law.basis), noisy) + (shared - 0.5))
    return (jnp.clip(places, -most, most) + most).astype(jnp.int32), (mean[:, 0], sigma)


def _decode(places: jax.Array, law: Law, shared: jax.Array, scale: tuple[jax.Array, jax.Array], like: jax.Array):
    mean, sigma = scale
    points = mean[:, None] + 3 * sigma * _times(law.basis, places - (shared - 0.5))
    return points.reshape(-1)[: like.size]


def _step(rate: int, variance: float) -> float:
    """Delta."""
    return 3 * math.sqrt(1 + variance) / (2**rate + 1)


def _columns(tensor: jax.Array, lattice: int) -> jax.Array:
    """Sub-vectors as columns `[L, M]`; the last element fills up, so that a constant stays one."""
    return jnp.pad(tensor.reshape(-1), (0, -tensor.size % lattice), mode="edge").reshape(lattice, -1)


def _times(matrix: np.ndarray, points: jax.Array) -> jax.Array:
    """matrix @ points in full float32 on every device."""
    return jnp.matmul(matrix.astype(np.float32), points, precision="highest")


def _noise(uniform: jax.Array, freedom: int) -> jax.Array:
    """Standard noise `[L, M]` from numbers on the grid of 2^-23 in [0, 1), moved to the middle of their steps."""
    centred = 2 * (uniform + 2.0**-24) - 1
    if not freedom:
        return -jnp.sign(centred) * jnp.log(1 - jnp.abs(centred))
    # A pair's distance r under the t-law: P(r > a) = (1 + a^2 / nu)^(-nu / 2). The first number's sign turns it round.
    radius = jnp.sqrt(freedom * jnp.expm1(-2 / freedom * jnp.log(1 - jnp.abs(centred[0]))))
    height = centred[1] * jnp.polyval(_SINE, centred[1] ** 2)
    return jnp.sign(centred[0]) * radius * jnp.stack([jnp.sqrt(jnp.maximum(1 - height**2, 0)), height])
