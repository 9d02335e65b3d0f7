"""When should precision drop? Accuracy and mean cost of HaLo-FL under five paces.

    python launch.py --config=experiments/ablations/pacing.py

Every round, as Algorithm 1 does, every fourth, after 35 and 70 % of the rounds (what Table II's means ask for,
the default), when the learning rate drops, and when a client's own training loss has stopped falling.
"""

from experiments.ablations.small import small


def get_config():
    """The experiment."""
    config = small("pacing")
    paces = ("reduce_every=1", "reduce_every=4", "reduce_when=learning_rate", "reduce_when=plateau,patience=2")
    config.arms = ("8-8-8", "halo_ps", *(f"halo_ps:{pace}" for pace in paces), "2-4-4")
    return config
