"""Worker: what every client does after it has trained: compress, count, and the server's decompression, all clients.

A case is one of `step_problem` with `executor`, and `compressor` (name and options). No image is touched.
"""

import json
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import step_problem
from timing import serve

from halo_jax.compressors import COMPRESSORS
from halo_jax.compressors.base import size_of
from halo_jax.federation import clients, communication
from halo_jax.recipes import RECIPES
from halo_jax.types import Precision


def prepare(case: dict):
    """Compile the exchange ahead of time; the facts say what the program needs beside its arguments and results."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    recipe, options = RECIPES["float32"](), dict(case["options"])
    options |= {"model_bits": recipe.model_bits} if case["compressor"] in ("identity", "uniform") else {}
    compressor = COMPRESSORS[case["compressor"]](**options)
    problem = step_problem.make({**case, "recipe": "float32", "exact": True})
    trained, precision, _, _ = problem.stacked
    start = jax.tree.map(lambda leaf: leaf[0] * jnp.float32(0.9), trained)
    key, count = jax.random.key(0), case["clients"]
    sent = communication.broadcast(start, compressor.server.init(start), compressor, recipe, key)
    own = communication.Own(compressor.init(start), jax.tree.map(jnp.zeros_like, start) if compressor.remembers else ())
    own = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], count, axis=0), own)

    def exchange_all(stacked, shared):
        sent, key, round = shared
        pooled = (
            () if compressor.stats is None else jax.tree.map(lambda s: jnp.max(s, 0), lifted_stats(stacked[2], sent))
        )
        return lifted_upload(stacked, (sent, pooled, key, round))

    lifted_upload = clients.lift(communication.make_upload(compressor, recipe), case["executor"])
    of_one = lambda model, sent: compressor.stats(communication.carried(compressor, recipe, model, sent.model))  # noqa: E731
    lifted_stats = lambda models, sent: clients.lift(of_one, case["executor"])((models,), (sent,))  # noqa: E731
    ids = jnp.arange(count, dtype=jnp.int32)
    arguments = (ids, Precision(*precision), trained, jnp.ones(count), own), (sent, key, jnp.int32(0))
    program = jax.jit(exchange_all).lower(*arguments).compile()
    memory = getattr(program.memory_analysis(), "temp_size_in_bytes", 0) / 2**20
    bits = int(np.asarray(program(*arguments).weight.nominal_bits)[0])

    def run() -> None:
        jax.block_until_ready(program(*arguments))

    facts = {"jax": jax.__version__, "temp_mb": memory, "weights": size_of(start), "nominal_bits": bits}
    return facts, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
