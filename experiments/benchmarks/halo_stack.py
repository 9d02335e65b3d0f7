"""Worker: rounds of several runs, one after the other or stacked, by halo_jax, assembled from a config."""

import json
import sys
from pathlib import Path
from typing import Any

import jax
from timing import serve

from halo_jax.config import schema
from halo_jax.config.arms import expand_arms
from halo_jax.federation.state import FederationState, init_state
from halo_jax.runner.build import assemble_all
from halo_jax.runner.compiled_rounds import Arm, Programs, stacks
from halo_jax.runtime import devices
from halo_jax.types import Precision


def arms_of(case: dict) -> list[Arm]:
    """The runs of a case: static arms of `runs` precisions, each with its own start."""
    config = schema.default()
    starts = [f"{weights}-{activations}-8" for weights in (8, 7, 6, 5) for activations in (8, 7, 6, 5)][: case["runs"]]
    config.arms, config.rounds = tuple(starts), 1_000_000
    config.demand.energy_clients = config.demand.latency_clients = config.demand.area_clients = 0
    with config.unlocked():
        config.update_from_flattened_dict(case["config"])
    schema.validate(config)
    devices.choose_devices(None, schema.cohort_size(config))
    configs: Any = expand_arms(config)
    federations = assemble_all(configs)
    return [Arm(name, configs[name], federations[name], Path(), name, name) for name in configs]


def prepare(case: dict):
    """Assemble the runs; each call is one round of each, evaluated and split as `run` has it, but not recorded."""
    arms, programs = arms_of(case), Programs()
    groups = stacks(arms, len(arms)) if case["stacked"] else [[arm] for arm in arms]
    members = [(programs.of(group), [_first_state(arm) for arm in group]) for group in groups]
    states = [program.pack(own) for program, own in members]

    def run() -> None:
        for i, (program, _) in enumerate(members):
            states[i], results = program.run_round(1, states[i])
            found = program.split(results), program.split(states[i]), program.evaluate(states[i], 1)
            jax.block_until_ready(found)

    return {"executor": arms[0].federation.executor, "devices": jax.device_count(), "programs": len(groups)}, run


def _first_state(arm: Arm) -> FederationState:
    federation, start = arm.federation, Precision.parse(arm.config.selector.start)
    return init_state(federation.first_model, start, arm.config.num_clients, federation.stages, federation.executor)


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
