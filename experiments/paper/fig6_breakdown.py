"""Paper, Fig. 6: energy, latency and area of every layer of VGG7 for CIFAR10 at 8-8-8; seconds on a CPU.

    python launch.py --config=experiments/paper/fig6_breakdown.py
    python launch.py --config=experiments/paper/fig6_breakdown.py:physical

The paper says that backward takes nearly two orders of magnitude more energy than forward, and more than two more time:
51 times and 2,500 times here. `physical`, which is not the paper's map, draws the same for crossbars that read k*k
windows for a weight gradient.
"""

import halo_jax as hj


def get_config(variant: str = ""):
    """The study, on the calibrated chip or, as `physical`, on the physical mapping."""
    if variant not in ("", "physical"):
        raise ValueError(f"variant {variant!r} of fig6_breakdown; known: physical")
    config = hj.default_config()
    config.name = "fig6_breakdown" + ("_physical" if variant else "")
    config.study = "breakdown"
    config.dataset = "cifar10"
    config.hardware.device = variant or "calibrated"
    return config
