"""Precision selectors: which bits a client trains with. To add one: a file here and one line in `SELECTORS`.

An entry is a factory; its keyword parameters are the fields of the config's `selector.*` that it uses.
"""

from collections.abc import Callable

from halo_jax.selectors.base import CostFn, Selector
from halo_jax.selectors.halo_ps import halo_ps, reduction_rounds
from halo_jax.selectors.static import static

__all__ = ["SELECTORS", "CostFn", "Selector", "halo_ps", "reduction_rounds", "static"]

SELECTORS: dict[str, Callable[..., Selector]] = {
    "static": static,
    "halo_ps": halo_ps,
}
