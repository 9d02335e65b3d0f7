"""SHA-256 of a tree of arrays: what tells two models, or two states of a run, apart to the bit."""

import hashlib
from typing import Any

import jax
import numpy as np


def tree_sha256(tree: Any) -> str:
    """SHA-256 of a tree: names, dtypes, shapes and bytes of its arrays, in the order of their names."""
    digest = hashlib.sha256()
    for path, leaf in sorted((jax.tree_util.keystr(p), x) for p, x in jax.tree_util.tree_leaves_with_path(tree)):
        values = np.asarray(leaf)
        digest.update(f"{path} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
