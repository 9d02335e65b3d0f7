"""Training recipes: how a client trains. Add one: a file here and a line in RECIPES."""

from halo_jax.numerics.arithmetic import Arithmetic
from halo_jax.recipes.base import Recipe
from halo_jax.recipes.bfp import bfp
from halo_jax.recipes.float32 import float32
from halo_jax.recipes.wage import wage

RECIPES = {
    "wage": wage,
    "float32": float32,
    "bfp": bfp,
}

__all__ = ["RECIPES", "Arithmetic", "Recipe", "bfp", "float32", "wage"]
