"""PowerSGD: each tensor as a product of two thin matrices, from one step of power iteration a round.

With M `[m, n]` the tensor of what is to be sent and Q `[n, r]` from the round before: P = orthonormal(M Q), Q = M' P,
and P Q' is rebuilt, the projection of M on the columns of P. Error feedback adds what is lost to the next M.

Source: Vogels, Karimireddy, Jaggi, NeurIPS 2019 (arXiv 1905.13727). There all workers average P before they compute Q,
so that they share one iteration on their mean gradient; clients of federated averaging meet only in the average at the
end of a round, so each iterates on its own M and sends its own P and Q.
"""

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax

from halo_jax.compressors.base import Compressor, Upload, rebuild, tensors_of
from halo_jax.compressors.error_feedback import error_feedback
from halo_jax.parameters import whole

_DEPENDENT = 1e-5  # what is left of a column that depends on those before it, to float32's rounding


def powersgd(*, rank: Annotated[int, whole(1, 64)] = 2) -> Compressor:
    """`low_rank` with error feedback; `rank` r is 1 or more.

    Args:
      rank: r of the two factors of a matrix.

    Bits: 32 r (m + n) for a matrix, 32 n for a tensor of n elements that is sent as it is.
    """
    return error_feedback(low_rank(rank=rank))


def low_rank(*, rank: int = 2) -> Compressor:
    """Matrices of rank `rank` without memory of what was lost; vectors and what they would not shorten travel raw.

    The last axis of a tensor is a matrix's columns, all others its rows: a kernel [h, w, c_in, c_out] is one of
    h w c_in x c_out. A client keeps the Q of each matrix.

    Bits: 32 r (m + n) for a matrix, 32 n for a tensor of n elements that is sent as it is.
    """
    if rank < 1:
        raise ValueError(f"powersgd: rank={rank}; allowed: 1 or more")

    def init(weights):
        sides = [_sides(tensor)[1] for tensor in tensors_of(weights) if _is_matrix(tensor, rank)]
        keys = jax.random.split(jax.random.key(0), max(len(sides), 1))
        return [jax.random.normal(key, (side, rank)) for key, side in zip(keys, sides, strict=False)]

    def compress(x, state, context, key):
        del context, key
        message, directions, numbers = [], [], 0
        for tensor in tensors_of(x):
            if not _is_matrix(tensor, rank):
                message.append(tensor)
                numbers += tensor.size
                continue
            matrix = tensor.reshape(_sides(tensor))
            before = state[len(directions)]
            columns = orthonormal(_product(matrix, before))
            rows = _product(matrix.T, columns)
            message.append((columns, rows))
            numbers += columns.size + rows.size
            # Choice: only the directions of Q's columns are kept, as P depends on no more, and a column that vanishes
            # keeps its old one: from Q = 0, which a tensor that rests for a round would leave, nothing grows again.
            lengths = jnp.linalg.norm(rows, axis=0)
            directions.append(jnp.where(lengths > 0, rows / jnp.where(lengths > 0, lengths, 1.0), before))
        return Upload(message, directions, 32 * numbers)

    def decompress(message, like, context):
        del context
        return rebuild([_product(p[0], p[1].T) if isinstance(p, tuple) else p for p in message], like)

    return Compressor(compress, decompress, init)


def orthonormal(columns: jax.Array) -> jax.Array:
    """Gram-Schmidt over the columns of `[m, r]`; one that depends on those before it becomes zero."""
    done: list[jax.Array] = []
    for column in columns.T:
        rest = column
        for _ in range(2):  # once leaves what rounding adds along the others, twice is enough
            for other in done:
                rest = rest - jnp.sum(rest * other) * other
        length = jnp.linalg.norm(rest)
        grows = length > _DEPENDENT * jnp.linalg.norm(column)
        done.append(jnp.where(grows, rest / jnp.where(grows, length, 1.0), 0.0))
    return jnp.stack(done, axis=1)


def _sides(tensor: Any) -> tuple[int, int]:
    return math.prod(tensor.shape[:-1]), tensor.shape[-1]


def _is_matrix(tensor: Any, rank: int) -> bool:
    """Whether a tensor has two sides, and two thin matrices hold fewer numbers than it."""
    return tensor.ndim > 1 and rank * sum(_sides(tensor)) < tensor.size


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
