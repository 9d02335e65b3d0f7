"""Is greedy HaLo-PS a good selector? Others at its own budget.

    python launch.py --config=experiments/ablations/selectors.py

The budget of each group is what HaLo-PS spends of its metric on average over these 20 rounds: 0.964 mJ, 0.665 s or
737 mm2 a sample. `exhaustive` takes the finest precision within it from the first round on, `random` lowers a random
dimension in HaLo-PS's rounds, and the static arms are 8-8-8 and the finest precision within all three budgets.
"""

from experiments.ablations.small import small


def get_config():
    """The experiment."""
    config = small("selectors")
    config.arms = ("8-8-8", "halo_ps", "exhaustive", "random", "6-6-8")
    config.demand.energy_mj = (0.964,) * 7 + (0,) * 13
    config.demand.latency_s = (0,) * 7 + (0.665,) * 7 + (0,) * 6
    config.demand.area_mm2 = (0,) * 14 + (737.0,) * 6
    return config
