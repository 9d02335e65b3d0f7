"""Worker: square matrix products by JAX, the most that the machine is seen to give."""

import json
import sys

import jax
import jax.numpy as jnp
from timing import serve

PRODUCTS = 20  # in one run, so that starting them doesn't count


def prepare(case: dict):
    """`size` x `size` products of `dtype` operands, added in float32."""
    size = case["size"]
    a, b = jax.random.normal(jax.random.key(0), (2, size, size)).astype(case["dtype"])
    product = jax.jit(lambda a, b: jnp.dot(a, b, preferred_element_type=jnp.float32))
    facts = {"jax": jax.__version__, "backend": jax.default_backend(), "flops": 2.0 * size**3 * PRODUCTS}
    return facts, lambda: jax.block_until_ready([product(a, b) for _ in range(PRODUCTS)]) and None


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
