"""The vocabulary: precision, layer shapes, cost, demand, and the named streams of random numbers.

Axis legend, the same letters everywhere: **N** clients, **M** examples per client, **S** local steps, **B** batch,
**L** layers, **K** candidate precisions, **R** rounds; H W C are image height, width and channels.
"""

import enum
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Precision(NamedTuple):
    """Bits for weights, activations and errors: the paper's (bw, ba, be).

    Python ints, or int32 arrays of any one shape: `[]` one client, `[N]` clients, `[L]` one per layer. Bits are data,
      so changing them never recompiles. An error is the gradient of the loss with respect to an activation.
    """

    weights: Any
    activations: Any
    errors: Any

    @classmethod
    def parse(cls, text: str) -> "Precision":
        """Read `"bw-ba-be"`, for example `"8-8-8"`: 1 to 16 bits each. Raises ValueError for anything else."""
        if not is_precision(text):
            raise ValueError(f"precision {text!r} is not of the form 'bw-ba-be', 1 to 16 bits each, such as '8-8-8'")
        return cls(*map(int, text.split("-")))

    def layer(self, index: int) -> "Precision":
        """The precision of layer `index`: itself when one precision serves all layers, else entry `[index]`."""
        return Precision(*(bits if np.ndim(bits) == 0 else bits[index] for bits in self))

    def __str__(self) -> str:
        return f"{self.weights}-{self.activations}-{self.errors}"


def is_precision(text: str, least: int = 1, most: int = 16) -> bool:
    """Whether a text names a precision, `"bw-ba-be"` with `least` to `most` bits each, as `str` writes it."""
    widths = text.split("-")
    return len(widths) == 3 and all(width in map(str, range(least, most + 1)) for width in widths)


class Noise(NamedTuple):
    """How far what is programmed or fed in lies from what was meant: standard deviations, as fractions (`noise`).

    `relative_to` says fractions of what: each `value`, or the largest of its `range`. `per` says when weights are drawn
    anew: at each `programming`, so that forward and backward pass share them, or at each `read`.
    """

    weights: float = 0.0
    errors: float = 0.0
    inputs: float = 0.0
    relative_to: Literal["value", "range"] = "value"
    per: Literal["programming", "read"] = "programming"

    @property
    def in_crossbars(self) -> bool:
        """Whether what crossbars hold is noisy: weights, errors or both."""
        return self.weights > 0 or self.errors > 0

    @property
    def anywhere(self) -> bool:
        """Whether anything is noisy."""
        return self.in_crossbars or self.inputs > 0


CLEAN = Noise()


class LayerShape(NamedTuple):
    """The static size of one convolution or dense layer, as the cost model sees it.

    `c_in` and `c_out` count all groups; `out_hw` is the output before pooling. Dense: `kernel` is (1, 1), `out_hw`
    (T, 1) for T positions. `repeats` counts how often the same weights run in one pass.
    """

    kernel: tuple[int, int]
    c_in: int
    c_out: int
    out_hw: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    repeats: int = 1


class Cost(NamedTuple):
    """What training on one sample costs; arrays of the shape of the precision that was priced."""

    energy_mj: Any
    latency_s: Any
    area_mm2: Any


class Constraint(enum.IntEnum):
    """The metric that a client wants low: Algorithm 1, line 2. NONE keeps its precision."""

    NONE = 0
    ENERGY = 1
    LATENCY = 2
    AREA = 3


class Demand(NamedTuple):
    """What clients ask of their hardware; every field is traced, `[N]` when stacked over clients."""

    constraint: Any  # int32, a Constraint
    budget: Cost  # absolute limits, inf where there is none
    weights: Any  # float32 [3]: how much energy, latency and area count for a mixed constraint


class Stream(enum.IntEnum):
    """The purposes of random draws. Every draw folds its purpose into the seed, so no two share numbers."""

    INIT = 1
    DATA = 2
    PARTITION = 3
    COHORT = 4
    SELECT = 5
    SHUFFLE = 6
    UPDATE = 7
    LAYER = 8
    COMPRESS = 9
    AGGREGATE = 10
    NOISE = 11
    CLIENT = 12
    DITHER = 13
    BROADCAST = 14
    LINK = 15
    AUGMENT = 16


def stream(key: jax.Array, purpose: Stream, *indices: Any) -> jax.Array:
    """The key of one named draw: `purpose`, then each index (round, client, step, ...), folded into `key`.

    Results therefore do not depend on the executor, the order of the cohort or the number of devices.
    """
    key = jax.random.fold_in(key, purpose)
    for index in indices:
        key = jax.random.fold_in(key, jnp.uint32(index))
    return key
