"""Dead layers. Whole numbers never become NaN, but codes that are all zero, or all at their largest, teach nothing.

A layer is dead in a local step if one of KINDS holds. Errors need no count of their own: those that are all zero give
a zero gradient, and those that activations block (they pass only below saturation) give one in the layers below. They
cannot all saturate to no use, since each tensor is scaled by its largest error.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.numerics.quantize import step_size

KINDS = ("activations all zero", "activations all saturated", "gradient all zero")
REMEDIES = (
    "more activation or weight bits, or a larger min_limit",
    "lower learning rates, or a smaller min_limit",
    "more error bits, or lower learning rates",
)
# Choice: 999 of 1,000 codes are all of them. Training that works stays below: see tests/test_health.py.
DEAD_SHARE = 0.999
COLLECTION, NAME = "intermediates", "dead_codes"  # of linen: where a layer leaves what `dead_codes` finds


def dead_codes(activations: jax.Array, bits: Any) -> jax.Array:
    """Whether activations on the grid of `bits` are all zero, and all saturated: bool [2].

    Of images `[B, H, W, C]` only the middle rows are looked at: they say as much, at 1/H of the time.
    """
    seen = activations if activations.ndim < 4 else activations[:, activations.shape[1] // 2]
    codes = jnp.stack([seen == 0, jnp.abs(seen) >= 1 - step_size(bits)])
    return codes.reshape(2, -1).sum(1) >= DEAD_SHARE * seen.size


def dead_layers(gradients: Any, sown: Any) -> jax.Array:
    """Which tensors of the model learn nothing in this step, and of which kind: bool `[L, 3]`, in KINDS.

    Args:
      gradients: of the loss, in the structure of the parameters.
      sown: the variables that layers have sown; one that has sown nothing in COLLECTION is judged by its gradient.
    """
    values = jax.tree_util.tree_leaves_with_path(sown.get(COLLECTION, {}))
    found = {str(path[:-2]): value for path, value in values if getattr(path[-2], "key", "") == NAME}
    nothing = jnp.zeros(2, bool)
    rows = [
        jnp.append(found.get(str(path[:-1]), nothing), jnp.max(jnp.abs(gradient), initial=0.0) == 0)
        for path, gradient in jax.tree_util.tree_leaves_with_path(gradients)
    ]
    return jnp.stack(rows)


def none_dead(model: Any) -> jax.Array:
    """The count of dead steps in a row before the first: int32 `[L, 3]`, one row per tensor of `model`."""
    return jnp.zeros((len(jax.tree.leaves(model)), len(KINDS)), jnp.int32)


def name_tensors(model: Any) -> list[str]:
    """The tensors of a model by name, in the order of the rows above, such as "QuantConv_0"."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(model)]
    names = ["/".join(str(getattr(key, "key", key)) for key in path) for path in paths]
    return [name.removesuffix("/kernel") for name in names]


def first_dead(dead: np.ndarray, after: int) -> tuple[int, int] | None:
    """Where a client's trouble begins: (tensor, kind) of `dead` `[L, 3]` with at least `after` steps, or None.

    Dead activations come before the zero gradients that follow from them. They spread towards the logits, so the first
    layer is named; zero gradients spread towards the image, so it is the last.
    """
    for kind in range(len(KINDS)):
        (tensors,) = np.nonzero(dead[:, kind] >= after)
        if len(tensors):
            return int(tensors[-1 if KINDS[kind].startswith("gradient") else 0]), kind
    return None
