"""Does block floating point train as WAGE does, at the same bits?

    python launch.py --config=experiments/ablations/recipes.py

The federation and the arms of the quickstart (digits, 30 rounds of three local epochs), and fewer bits still, once in
each recipe, three seeds.
"""

from experiments import quickstart

PRECISIONS = ("8-8-8", "halo_ps", "2-4-4", "4-4-4", "3-3-3")


def get_config():
    """The experiment."""
    config = quickstart.get_config()
    config.name = "ablation_recipes"
    config.arms = tuple(f"{bits}:recipe.name={name}" for bits in PRECISIONS for name in ("wage", "bfp"))
    config.seeds = (0, 1, 2)
    return config
