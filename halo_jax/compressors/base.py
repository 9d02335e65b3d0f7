"""What an update compressor is: pure functions, written for one client."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from halo_jax.types import Precision


class CompressFn(Protocol):
    """Turn a trained client model into the message that travels."""

    def __call__(
        self, model: Any, reference: Any, state: Any, *, precision: Precision, key: jax.Array
    ) -> tuple[Any, Any, jax.Array]:
        """Return (message, new state, payload bits as int32 `[]`).

        Args:
          model: the client's trained model in the recipe's dtype (int8 codes for `wage`).
          reference: the model that the server broadcast; both sides know it.
          state: the client's own compressor state.
          precision: the bits that the client trained with.
          key: this client's and round's own random key.
        """
        ...


class Compressor(NamedTuple):
    """`init(model) -> state`, `compress(...)`, and `decompress(message, reference) -> model` on the server."""

    init: Callable[[Any], Any]
    compress: CompressFn
    decompress: Callable[[Any, Any], Any]
