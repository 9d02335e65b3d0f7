"""FedHQ+: FedHQ whose clients measure the error of their own message and send it along.

See `fedhq`; source: Chen, Shen, Zhang, Tang, IEEE TWC 20(10), 2021.
"""

from typing import Annotated

from halo_jax.compressors.base import Compressor
from halo_jax.compressors.fedhq import CLIENT_BITS, weighted


def fedhq_plus(*, client_bits: Annotated[tuple[int, ...], CLIENT_BITS] = (4, 8)) -> Compressor:
    """FedHQ with the q_i of each update; `client_bits` as there.

    Args:
      client_bits: bits that are dealt to clients in turn; empty: the client's weight bits.

    Bits: sum over tensors of (32 + b n), + 32 for q_i.
    """
    return weighted("fedhq_plus", client_bits, reports=True)
