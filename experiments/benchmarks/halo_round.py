"""Worker: federated rounds by halo_jax, assembled from a config as an experiment is."""

import functools
import json
import os
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import serve
from two_convolutions import TwoConvolutions

from halo_jax import datasets, models
from halo_jax.config import schema
from halo_jax.datasets import Dataset
from halo_jax.federation.clients import placement
from halo_jax.federation.local_data import LocalData
from halo_jax.federation.round import make_run_round
from halo_jax.federation.state import FederatedData, init_state
from halo_jax.runner.build import Federation, assemble
from halo_jax.runtime import devices
from halo_jax.types import Precision


def sizes(case: dict) -> np.ndarray:
    """How many images each client holds: `examples`, in turns where there are more `clients`."""
    return np.resize(np.array(case["examples"], np.int32), case.get("clients", len(case["examples"])))


def random_images(case: dict, data_dir: str = "") -> Dataset:
    """Uniform pixels of the case's shape; what is learnt does not matter here, and making them takes no memory."""
    rng = np.random.default_rng(0)
    total, image, classes = int(sizes(case).sum()), tuple(case["image"]), case["classes"]
    train = rng.integers(0, 256, (total, *image), np.uint8), rng.integers(0, classes, total, np.int32)
    return Dataset(*train, train[0][:8], train[1][:8], classes)


def experiment(case: dict) -> schema.Config:
    """The config of a case; its `config` holds fields to set, and a third of the clients want low energy, and so on."""
    config = schema.default()
    clients = len(sizes(case))
    config.dataset, config.model, config.width = "random", case["model"], case["width"]
    config.num_clients, config.batch_size, config.rounds = clients, case["batch"], 1_000_000
    for constraint in ("energy", "latency", "area"):
        config.demand[f"{constraint}_clients"] = clients // 3
    with config.unlocked():
        config.update_from_flattened_dict(case["config"])
    schema.validate(config)
    return config


def deal(case: dict, federation: Federation) -> FederatedData:
    """Clients hold the images that the case says, where these are not the equal shares that they were dealt already."""
    counts = sizes(case)
    if np.ptp(counts) == 0:
        return federation.data
    mask = np.arange(counts.max()) < counts[:, None]
    indices = np.zeros(mask.shape, np.int32)
    indices[mask] = np.arange(counts.sum())
    local_data = LocalData(jnp.asarray(indices), jnp.asarray(mask))
    dealt = federation.data._replace(local_data=local_data, num_examples=jnp.asarray(counts))
    return jax.device_put(dealt, placement(federation.executor))


def prepare(case: dict):
    """Assemble the experiment and compile its round ahead of time; each run is a round that goes on from the last."""
    if "cores" in case:
        os.sched_setaffinity(0, range(case["cores"]))
    started = time.perf_counter()
    datasets.DATASETS["random"] = functools.partial(random_images, case)
    models.MODELS["two_convolutions"] = lambda num_classes, **fields: TwoConvolutions(num_classes, **fields)
    config = experiment(case)
    cohort = schema.cohort_size(config)
    devices.choose_devices(None, cohort)
    federation = assemble(config)
    data = deal(case, federation)
    start = Precision.parse(config.selector.start)
    state = init_state(federation.first_model, start, config.num_clients, federation.stages, federation.executor)
    run_round: Any = make_run_round(federation.stages, cohort, federation.executor, config.chunk_size)
    others = (data, jax.random.key(config.seed), jnp.float32(federation.learning_rates[0]))
    assembled = time.perf_counter()
    lowered = run_round.lower(state, *others)
    traced = time.perf_counter()
    compiled_round = lowered.compile()
    compiled = time.perf_counter()
    memory = compiled_round.memory_analysis()
    facts = {
        "executor": federation.executor,
        "devices": jax.device_count(),
        "backend": jax.default_backend(),
        "jax": jax.__version__,
        "assemble_seconds": assembled - started,
        "trace_seconds": traced - assembled,
        "compile_seconds": compiled - traced,
        "temp_mb": getattr(memory, "temp_size_in_bytes", 0) / 2**20,
        "argument_mb": getattr(memory, "argument_size_in_bytes", 0) / 2**20,
        "samples": int(np.sort(np.asarray(data.num_examples))[-cohort:].sum()),
    }

    def run() -> None:
        nonlocal state
        state, results = compiled_round(state, *others)
        jax.block_until_ready((state, results))

    return facts, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
