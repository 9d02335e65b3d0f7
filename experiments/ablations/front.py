"""Are HaLo-FL's points on the front? All 36 uniform precisions: accuracy against energy, latency and area.

    python launch.py --config=experiments/ablations/front.py         # the grid and HaLo-FL, one seed
    python launch.py --config=experiments/ablations/front.py:front   # the grid's front and HaLo-FL, three seeds

Weights of 2, 4, 6, 8 bits, activations and errors of 4, 6, 8: everything between the paper's 2-4-4 and 8-8-8.
"""

import itertools

from experiments.ablations.small import small

GRID = tuple("-".join(map(str, bits)) for bits in itertools.product((2, 4, 6, 8), (4, 6, 8), (4, 6, 8)))
FRONT = (  # those of seed 0 that no other beats in accuracy and one of the three costs; 8-8-8 and 6-6-6 beside them
    *("8-8-8", "8-8-6", "4-8-6", "8-6-4", "6-6-6", "4-8-4", "6-6-4"),
    *("8-4-8", "4-6-4", "8-4-4", "4-4-4", "2-6-6", "2-6-4", "2-4-4"),
)
HALO_FL = ("halo_ps", "halo_ps:reduce_every=4", "halo_ps:reduce_every=1")


def get_config(variant: str = ""):
    """The grid of one seed, or its front of three."""
    if variant not in ("", "front"):
        raise ValueError(f"variant {variant!r} of front; known: front")
    config = small("front" + (f"_{variant}" if variant else ""))
    config.arms = (*(FRONT if variant else GRID), *HALO_FL)
    if not variant:
        config.seeds = (0,)
    return config
