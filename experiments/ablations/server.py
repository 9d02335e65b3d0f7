"""How should an 8-bit server round (A7), and what may clients upload (A6)?

    python launch.py --config=experiments/ablations/server.py

Rounding of the average: stochastic, nearest, none (float32). Upload: the 8-bit master, each client's weight bits
(stochastic or nearest), and one bit a weight by DRIVE. Under 2-4-4, where it hurts most, and where it matters also
under HaLo-FL.
"""

from experiments.ablations.small import small

ROUNDING = ("recipe.aggregation=stochastic", "recipe.aggregation=nearest", "recipe.aggregation=none")
UPLOAD = ("compressor.name=uniform", "compressor.name=uniform,compressor.rounding=nearest", "compressor.name=drive")


def get_config():
    """The experiment."""
    config = small("server")
    config.arms = (
        *(f"2-4-4:{way}" for way in (*ROUNDING, *UPLOAD)),
        *(f"halo_ps:{way}" for way in (*ROUNDING, "compressor.name=drive")),
    )
    return config
