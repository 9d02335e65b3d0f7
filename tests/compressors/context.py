"""What both ends know of a message in the first round, for tests that change what they need of it."""

import jax
import numpy as np

from halo_jax.compressors.base import Context
from halo_jax.types import Precision

CONTEXT = Context(
    client=np.int32(0),
    round=np.int32(0),
    precision=Precision(*(np.int32(8),) * 3),
    loss=np.float32(1),
    shared=jax.random.key(1),
)
