"""Paper, Table II: its 54 hardware values, ours, and the difference; seconds on a CPU.

    python launch.py --config=experiments/paper/table2_hardware.py

The 18 values of the static rows come out to the last printed digit. The 36 of the group rows are means over rounds
that the paper does not print: with our reconstruction of them, 34 do.
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "table2_hardware"
    config.study = "table2"
    config.dataset = "cifar10"
    return config
