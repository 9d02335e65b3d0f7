"""One precision per layer against an integer program: how often `per_layer` finds the least noise, how far it is off.

python experiments/proofs/near_optimum.py [--count=200] [--seed=0]

VGG7 on three chips, `count` problems each: random limits on one to three of energy, latency and area, random
importances. HiGHS (scipy.optimize.milp) solves the integer program, within 20 s; what is off is measured from the
better of the two, and equal means within 0.01 %, also for the bound that proves a choice. Exit status 1 if a choice
that fits was missed, or the bound is above the noise of one.
"""

import argparse
import sys
from collections.abc import Sequence

import jax
import launches
import numpy as np
from scipy.optimize import LinearConstraint, milp

import halo_jax as hj

CANDIDATES = hj.selectors.bit_grid(hj.Precision(8, 8, 8), hj.Precision(2, 2, 2))
NOISE = np.asarray(hj.selectors.quantisation_noise(CANDIDATES), np.float64)
CHIPS = (("halosim", "calibrated"), ("halosim", "physical"), ("bit_serial", "stripes_45nm"))
SECONDS = 20  # of the other solver
EQUAL = 1e-4  # relatively: more than float32 sums, the margin of the bound and the other's tolerances add up to


def problem(costs: hj.Cost, rng: np.random.Generator) -> tuple[hj.Cost, np.ndarray]:
    """A budget between the cheapest and the dearest choice, and the importances `[L]`."""
    limited = rng.random(3) < 0.6
    limited[rng.integers(3)] = True
    ends = [(metric.min(1).sum(), metric.max(1).sum()) for metric in costs]
    limits = [low + rng.uniform(0.02, 0.9) * (high - low) for low, high in ends]
    budget = hj.Cost(*np.where(limited, limits, np.inf).astype(np.float32))
    return budget, rng.choice([0.5, 1.0, 3.0], len(costs.energy_mj)).astype(np.float32)


def integer_program(costs: hj.Cost, budget: hj.Cost, importance: np.ndarray) -> float:
    """The least noise of a choice within the budget that HiGHS finds in its time; inf if none."""
    layers, kinds = costs.energy_mj.shape
    noise = np.outer(importance, NOISE).ravel()
    loads = [metric.ravel() / limit for metric, limit in zip(costs, budget, strict=True)]
    one_each = LinearConstraint(np.kron(np.eye(layers), np.ones(kinds)), 1, 1)
    found = milp(
        noise / noise.max(),
        constraints=[one_each, LinearConstraint(np.stack(loads), ub=1)],
        integrality=np.ones(noise.size),
        bounds=(0, 1),
        options={"time_limit": SECONDS, "mip_rel_gap": EQUAL / 100},
    )
    return float("inf") if found.x is None else float(found.x.round() @ noise)


def compare(chip_name: tuple[str, str], count: int, rng: np.random.Generator) -> dict[str, object]:
    """Both on `count` problems of one chip."""
    chip = hj.PLATFORMS[chip_name[0]](chip_name[1])
    layers, _, _ = hj.trace_layers(hj.models.VGG7(10, numerics=None), (32, 32, 3))
    alone = [lambda bits, layer=layer: chip.evaluate((layer,), bits) for layer in layers]
    costs = hj.Cost(*(np.asarray(metric, np.float64) for metric in hj.selectors.layer_costs(alone, CANDIDATES)))
    solve = jax.jit(lambda budget, importance: hj.selectors.per_layer(costs, CANDIDATES, budget, importance=importance))
    off, proven, missed, wrong = [], 0, 0, 0
    for _ in range(count):
        budget, importance = problem(costs, rng)
        ours, theirs = solve(budget, importance), integer_program(costs, budget, importance)
        noise = float(ours.noise) if ours.feasible else float("inf")
        least = min(noise, theirs)
        if least == float("inf"):
            continue
        off.append(noise / least - 1)
        proven += noise <= float(ours.bound) * (1 + EQUAL)
        missed += noise == float("inf")
        wrong += float(ours.bound) > least * (1 + EQUAL)
    return {
        "chip": " ".join(chip_name),
        "problems": len(off),
        "least_noise": int((np.array(off) <= EQUAL).sum()),
        "most_off_percent": round(100 * max(off), 3),
        "proven": proven,
        "missed": missed,
        "bound_too_high": wrong,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare on every chip, print and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng, rows = np.random.default_rng(options.seed), []
    for chip in CHIPS:
        rows.append(compare(chip, options.count, rng))
        print(*(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
    launches.write("near_optimum", {**vars(options), "chips": rows})
    return int(any(row["missed"] or row["bound_too_high"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
