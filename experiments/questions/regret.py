"""How far greedy HaLo-PS is from the best choice, per metric and data set; seconds on a CPU.

    python launch.py --config=experiments/questions/regret.py
    python launch.py --config=experiments/questions/regret.py --config.hardware.device=physical

At equal numbers of reductions, and within equal budgets. On the paper's chip the greedy path is the best of its depth
everywhere; on `physical` its energy is up to 8 % above. Within a budget it is coarser than need be: it goes in steps of
two bits, and lowers only the dimension that pays most, where the finest precision spreads the loss.
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "regret"
    config.study = "regret"
    config.dataset = "cifar10"
    return config
