"""Does HaLo-FL hold where clients differ in more than their chips? Four sweeps of 8-8-8, HaLo-FL and 2-4-4.

    python launch.py --config=experiments/ablations/heterogeneity.py:skew           # labels by Dirichlet 0.1, 0.3, 1
    python launch.py --config=experiments/ablations/heterogeneity.py:participation  # 5 of the 20 clients a round
    python launch.py --config=experiments/ablations/heterogeneity.py:sizes          # numbers of images by Dirichlet 1
    python launch.py --config=experiments/ablations/heterogeneity.py:mixes          # all clients want the same

The common case, 20 equal clients of which 7, 7 and 6 want low energy, latency and area, is `table2_main.py:small`. The
tables hold the worst client: the lowest accuracy that the final model has on a client's own mix of labels.
"""

from experiments.ablations.small import small

SWEEPS = {  # partition, what is swept
    "skew": ("dirichlet", "partition.alpha=0.1|0.3|1"),
    "participation": ("iid", "cohort_size=5"),
    "sizes": ("unequal", "partition.alpha=1"),
    "mixes": ("iid", "demand.energy_clients=20|0|0;demand.latency_clients=0|20|0;demand.area_clients=0|0|20"),
}


def get_config(variant: str = "skew"):
    """One of the four sweeps."""
    if variant not in SWEEPS:
        raise ValueError(f"variant {variant!r} of heterogeneity; known: {', '.join(SWEEPS)}")
    config = small(f"heterogeneity_{variant}")
    config.partition.name, swept = SWEEPS[variant]
    config.sweep = (swept,)
    config.arms = ("halo_ps",) if variant == "mixes" else ("8-8-8", "halo_ps", "2-4-4")
    return config
