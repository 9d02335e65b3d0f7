"""What breaks below 2-4-4, the paper's lowest configuration ("further reduction risks training divergence")?

    python launch.py --config=experiments/ablations/floors.py

One dimension at a time below 2-4-4, all of them, and HaLo-FL with a floor of 2-2-2 that all its clients
reach (Algorithm 1 to the letter: every round, whatever the gain).
"""

from experiments.ablations.small import small


def get_config():
    """The experiment."""
    config = small("floors")
    below = ("2-4-3", "2-4-2", "2-3-4", "2-2-4", "2-2-2")
    config.arms = ("8-8-8", "2-4-4", *below, "halo_ps:floor=2-2-2,reduce_every=1,min_gain=0")
    return config
