"""Does block floating point train as WAGE does, at the same bits?

    python launch.py --config=experiments/ablations/recipes.py

The federation and the arms of the quickstart (digits, 30 rounds of three local epochs), and uniform 4 and 3 bits, once
in each recipe, three seeds. `recipes.py:three_bits` asks which of the three dimensions 3 bits are too few for.
"""

from experiments import quickstart

PRECISIONS = ("8-8-8", "halo_ps", "2-4-4", "4-4-4", "3-3-3")
THREE_BITS = (  # one dimension at a time, the rounding of errors, and images of 8 bits
    *("3-8-8", "8-3-8", "8-8-3"),
    *("3-3-3:recipe.error_rounding=stochastic", "8-3-8:recipe.input_bits=8"),
)
RECIPES = ("wage", "bfp")


def _in_recipe(arm: str, recipe: str) -> str:
    bits, _, options = arm.partition(":")
    return f"{bits}:recipe.name={recipe}" + (f",{options}" if options else "")


def get_config(variant: str = ""):
    """Each precision in each recipe; or what may be wrong at 3 bits."""
    if variant not in ("", "three_bits"):
        raise ValueError(f"variant {variant!r} of recipes; known: three_bits")
    config = quickstart.get_config()
    config.name, config.seeds = variant or "recipes", (0, 1, 2)
    arms = THREE_BITS if variant else PRECISIONS
    config.arms = tuple(_in_recipe(arm, name) for arm in arms for name in RECIPES)
    return config
