"""Worker: prices precisions of VGG7 for CIFAR10 on one core, by HaLoSim or by the formulas in plain NumPy.

A case: `how` is uniform, per_layer, breakdown or numpy; `batch` precisions a call, `calls` calls a run. `changing`
takes other bits and other constants of the device in each call; every run reports what was compiled.
"""

import dataclasses
import json
import os
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from halo_bits import Compilations
from timing import serve

import halo_jax as hj

halosim = hj.hardware.halosim


def numpy_cost(layers: tuple, precision: hj.Precision, constants: halosim.Constants) -> tuple:
    """The paper's formulas, layer by layer, in float64: what somebody writes for a sweep."""
    weights, activations, errors = (np.asarray(bits, np.float64) for bits in precision)
    energy, latency, tiles = (np.zeros(weights.shape) for _ in range(3))
    for layer in layers:
        rows, positions = layer.kernel[0] * layer.kernel[1] * layer.c_in, layer.out_hw[0] * layer.out_hw[1]
        crossbars_w = -(-rows // 64) * np.ceil(layer.c_out * weights / 64)
        crossbars_e = -(-positions // 64) * np.ceil(layer.c_out * errors / 64)
        touched = (layer.out_hw[0] + layer.kernel[0] - 1) * (layer.out_hw[1] + layer.kernel[1] - 1) * layer.c_in
        reads = crossbars_w * positions * (activations + errors) + crossbars_e * touched * activations
        energy += constants.read_energy_pj / 8 * reads + constants.write_energy_pj * crossbars_e
        latency += positions * (activations + errors) + rows * layer.c_out * activations
        tiles += np.ceil(crossbars_w / 64) + np.ceil(crossbars_e / 64)
    return energy * 1e-9, latency * constants.read_delay_us * 1e-6, tiles * 64 * constants.crossbar_area_mm2


FUNCTIONS = {
    "uniform": halosim.evaluate,
    "per_layer": halosim.evaluate_per_layer,
    "breakdown": halosim.breakdown,
    "numpy": numpy_cost,
}


def prepare(case: dict):
    """The facts and the run of a case."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    layers, rng, compilations = (
        hj.models.layer_shapes(hj.models.VGG7(10), (32, 32, 3)),
        np.random.default_rng(0),
        Compilations(),
    )
    shape = (case["batch"],) * (case["batch"] > 0) + (len(layers),) * (case["how"] == "per_layer")
    draw = lambda: hj.Precision(*(rng.integers(2, 9, shape, np.int32) for _ in range(3)))  # noqa: E731
    price, bits = partial(FUNCTIONS[case["how"]], layers), draw()
    if case["how"] != "numpy":
        price, bits = jax.jit(price), jax.tree.map(jnp.asarray, bits)

    def run() -> dict:
        nonlocal bits
        programs = compilations.programs
        for call in range(case["calls"]):
            constants = halosim.CALIBRATED
            if case["changing"]:
                bits = draw()
                constants = dataclasses.replace(
                    constants, read_energy_pj=29.0 + call, crossbar_area_mm2=0.07 + 0.001 * call
                )
            jax.block_until_ready(price(bits, constants))
        return {"programs": compilations.programs - programs}

    return {"layers": len(layers), "jax": jax.__version__}, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
