"""Training recipes: how a client trains. Add one: a file here and a line in RECIPES."""

from halo_jax.recipes.base import Recipe
from halo_jax.recipes.float32 import float32
from halo_jax.recipes.wage import wage

RECIPES = {
    "wage": wage,
    "float32": float32,
}

__all__ = ["RECIPES", "Recipe", "float32", "wage"]
