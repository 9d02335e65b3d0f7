r"""A precision for each layer within a budget, against one for all layers; seconds on a CPU.

    python launch.py --config=experiments/questions/per_layer.py
    python launch.py --config=experiments/questions/per_layer.py --config.demand.energy_mj="(0.6,)" \
      --config.demand.area_mm2="(900,)"

Without a budget: half of the energy at `selector.start`. Bits go from `selector.floor` to `selector.start`; the noise
of the network is the sum over its layers of 4^-bw + 4^-ba + 4^-be.
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "per_layer"
    config.study = "per_layer"
    config.dataset = "cifar10"
    return config
