"""Worker: the step of all clients at one precision after another, by one program or by a program for each precision.

`traced` passes bits as data, as halo_jax does. `static` closes over them as Python numbers and compiles every time.
Each run takes the next precision and reports what was traced and compiled for it.
"""

import itertools
import json
import sys

import jax
import numpy as np
import step_problem
from timing import serve

from halo_jax.federation import clients
from halo_jax.runtime import devices
from halo_jax.types import Precision

COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX reports one for each program that it compiles


class Compilations:
    """Counts what JAX compiles, and how long that takes."""

    def __init__(self) -> None:
        self.programs, self.seconds = 0, 0.0
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def _hear(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED:
            self.programs, self.seconds = self.programs + 1, self.seconds + duration_secs


def prepare(case: dict):
    """The facts and the run of a case; `precisions` are taken in turns."""
    devices.choose_devices(None, case["clients"])
    executor, _ = clients.resolve_executor("auto", jax.default_backend(), jax.device_count(), case["clients"])
    sweep = itertools.cycle(case["precisions"])
    start = [case["precisions"][0]] * case["clients"]
    problem = step_problem.make({**case, "recipe": "wage", "exact": True, "precisions": start})
    one_client = step_problem.local_step(problem, case["batch"])
    models, _, local_data, keys = problem.stacked
    place = clients.placement(executor)
    models, local_data, keys, shared = jax.device_put((models, local_data, keys, problem.shared), place)
    traces, compilations = 0, Compilations()

    def counted(model, bits, *others):
        nonlocal traces
        traces += 1
        return one_client(model, bits, *others)

    traced_step = jax.jit(clients.lift(counted, executor))

    def static_step(precision):
        def fixed(model, *others):
            return counted(model, Precision(*precision), *others)

        return jax.jit(clients.lift(fixed, executor))

    def run() -> dict:
        precision = next(sweep)
        programs, seconds, seen = compilations.programs, compilations.seconds, traces
        if case["bits"] == "static":
            step = static_step(precision)
            outcome = step((models, local_data, keys), shared)
        else:
            bits = Precision(*(np.full(case["clients"], number, np.int32) for number in precision))
            outcome = traced_step((models, jax.device_put(bits, place), local_data, keys), shared)
        jax.block_until_ready(outcome)
        return {
            "precision": "-".join(map(str, precision)),
            "traces": traces - seen,
            "programs": compilations.programs - programs,
            "compile_seconds": compilations.seconds - seconds,
        }

    return {"executor": executor, "jax": jax.__version__}, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])), warm_up=False)
