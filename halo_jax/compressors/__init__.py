"""Update compressors: what a client uploads. Add one: a file here and a line in COMPRESSORS."""

from halo_jax.compressors.base import Compressor
from halo_jax.compressors.identity import identity
from halo_jax.compressors.uniform import uniform

COMPRESSORS = {
    "identity": identity,
    "uniform": uniform,
}

__all__ = ["COMPRESSORS", "Compressor", "identity", "uniform"]
