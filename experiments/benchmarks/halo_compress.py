"""Worker: what every client does after it has trained: compress, count, and the server's decompression, all clients.

A case is one of `step_problem` with `executor`, and `compressor` (name and options). No image is touched.
"""

import functools
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
from halo_jax.federation.local_data import Images
from halo_jax.federation.local_training import Trained
from halo_jax.federation.participants import Client, ClientMemory, Shared
from halo_jax.federation.stages import Stages
from halo_jax.recipes import RECIPES
from halo_jax.types import Precision


def prepare(case: dict):
    """Compile the exchange ahead of time; the facts say what the program needs beside its arguments and results."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    recipe, options = RECIPES["float32"](), dict(case["options"])
    options |= {"model_bits": recipe.model_bits} if case["compressor"] in ("identity", "uniform") else {}
    compressor = COMPRESSORS[case["compressor"]](**options)
    problem = step_problem.make({**case, "recipe": "float32", "exact": True})
    models, precision, _, _ = problem.stacked
    start = jax.tree.map(lambda leaf: leaf[0] * jnp.float32(0.9), models)
    nothing: dict = dict.fromkeys(Client._fields)  # of what only training needs
    stages = Stages(**{**dict.fromkeys(Stages._fields), "recipe": recipe, "compressor": compressor})
    key, count = jax.random.key(0), case["clients"]
    downlink = communication.broadcast(start, compressor.server.init(start), stages, key)
    held = jax.tree.map(jnp.zeros_like, start) if compressor.remembers else ()
    memory = ClientMemory(compressor.init(start), held)
    memory = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], count, axis=0), memory)
    own = {"id": jnp.arange(count, dtype=jnp.int32), "precision": Precision(*precision), "memory": memory}
    cohort, trained = Client(**{**nothing, **own}), Trained(models, jnp.ones(count), jnp.zeros(count, jnp.int32))
    shared = Shared(downlink, Images((), jnp.zeros(0, jnp.int32)), jnp.float32(0), key, jnp.int32(0))

    def stats_of(model, start):
        assert compressor.stats is not None
        return compressor.stats(communication.carried(stages, model, start))

    def exchange_all(cohort, trained, shared):
        pooled = ()
        if compressor.stats is not None:
            stats = clients.lift(stats_of, case["executor"])((trained.model,), (shared.downlink.model,))
            pooled = jax.tree.map(lambda of_each: jnp.max(of_each, 0), stats)
        exchange = clients.lift(functools.partial(communication.exchange, stages), case["executor"])
        return exchange((cohort, trained), (shared, pooled))

    program = jax.jit(exchange_all).lower(cohort, trained, shared).compile()
    memory_mb = getattr(program.memory_analysis(), "temp_size_in_bytes", 0) / 2**20
    bits = int(np.asarray(program(cohort, trained, shared).up_size.nominal_bits)[0])

    def run() -> None:
        jax.block_until_ready(program(cohort, trained, shared))

    facts = {"jax": jax.__version__, "temp_mb": memory_mb, "weights": size_of(start), "nominal_bits": bits}
    return facts, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
