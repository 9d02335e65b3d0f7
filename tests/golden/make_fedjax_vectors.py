"""Makes fedjax_vectors.npz: TernGrad, DRIVE and stochastic uniform quantisation by fedjax, with the numbers it drew.

README.md beside this file lists the keys and the command; it needs the packages in
experiments/benchmarks/peers/fedjax.txt.
"""

from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from fedjax.aggregators import compression, walsh_hadamard

SIZE, LEVELS = 2000, 5
KEY = jax.random.key(2024, impl="threefry2x32")


def vectors():
    """What goes in, what was drawn, and what comes out, float32."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=SIZE) * np.linspace(0.1, 3, SIZE), jnp.float32)
    found = {"x": x, "draws": jax.random.uniform(KEY, x.shape)}
    found["terngrad"] = compression.terngrad_quantize(x, KEY)
    found["uniform"] = compression.uniform_stochastic_quantize(jnp.abs(x), LEVELS, KEY)
    signs = {"drive": 2048, "drive_small": 64}
    for name, side in signs.items():
        part = x[: side - 7]
        rotated, shape = walsh_hadamard.structured_rotation(part, KEY)
        scaled = compression.drive_pytree({"a": rotated})["a"]
        found[name] = walsh_hadamard.inverse_structured_rotation(scaled, KEY, shape)
        found[f"{name}_signs"] = jax.random.rademacher(KEY, (side,)).astype(jnp.float32)
    return found | {"levels": LEVELS, "version": version("fedjax")}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).parent / "fedjax_vectors.npz", **vectors())
