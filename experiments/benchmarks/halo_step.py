"""Worker: one local step of every client by halo_jax, on one of its executors."""

import json
import os
import sys
import time

import jax
import step_problem
from timing import serve

from halo_jax.federation import clients
from halo_jax.runtime import devices


def prepare(case: dict):
    """Compile the step of all clients ahead of time; the facts say how long that took and what it needs."""
    if "cores" in case:
        os.sched_setaffinity(0, range(case["cores"]))
    if case["executor"] in ("auto", "shard"):
        devices.choose_devices(None, case["clients"])
    executor, _ = clients.resolve_executor(case["executor"], jax.default_backend(), jax.device_count(), case["clients"])
    problem = step_problem.make(case)
    lifted = clients.lift(step_problem.local_step(problem, case["batch"]), executor)
    arguments = jax.device_put((problem.stacked, problem.shared), clients.placement(executor))
    started = time.perf_counter()
    lowered = jax.jit(lifted).lower(*arguments)
    traced = time.perf_counter()
    step = lowered.compile()
    compiled = time.perf_counter()
    facts = {
        "executor": executor,
        "devices": jax.device_count(),
        "backend": jax.default_backend(),
        "jax": jax.__version__,
        "trace_seconds": traced - started,
        "compile_seconds": compiled - traced,
        "temp_mb": getattr(step.memory_analysis(), "temp_size_in_bytes", 0) / 2**20,
        "flops": problem.flops,
    }

    def run() -> None:
        jax.block_until_ready(step(*arguments))

    return facts, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
