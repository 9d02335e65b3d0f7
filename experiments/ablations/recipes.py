"""Does block floating point train as WAGE does, at the same bits?

    python launch.py --config=experiments/ablations/recipes.py

The federation and the arms of the quickstart (digits, 30 rounds of three local epochs), and uniform 4 and 3 bits, once
in each recipe, three seeds. `recipes.py:three_bits` asks which of the three dimensions 3 bits are too few for.
"""

from experiments import quickstart

PRECISIONS = ("8-8-8", "halo_ps", "2-4-4", "4-4-4", "3-3-3")
THREE_BITS = ("3-8-8", "8-3-8", "8-8-3")
RECIPES = ("wage", "bfp")


def get_config(variant: str = ""):
    """Each precision in each recipe; or one dimension at 3 bits, and all with stochastic rounding of errors."""
    if variant not in ("", "three_bits"):
        raise ValueError(f"variant {variant!r} of recipes; known: three_bits")
    config = quickstart.get_config()
    config.name, config.seeds = variant or "recipes", (0, 1, 2)
    arms = [f"{bits}:recipe.name={name}" for bits in (THREE_BITS if variant else PRECISIONS) for name in RECIPES]
    if variant:
        arms += [f"3-3-3:recipe.name={name},recipe.error_rounding=stochastic" for name in RECIPES]
    config.arms = tuple(arms)
    return config
