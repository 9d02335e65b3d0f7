"""Update compressors: what a client uploads. Add one: a file here and a line in COMPRESSORS."""

from halo_jax.compressors.adaquantfl import adaquantfl
from halo_jax.compressors.base import Broadcast, Compressor, Context, Server, Upload
from halo_jax.compressors.drive import drive
from halo_jax.compressors.eden import eden
from halo_jax.compressors.ef_signsgd import ef_signsgd
from halo_jax.compressors.fedhq import fedhq
from halo_jax.compressors.fedhq_plus import fedhq_plus
from halo_jax.compressors.fl_pqsu import fl_pqsu
from halo_jax.compressors.hsq import hsq
from halo_jax.compressors.identity import identity
from halo_jax.compressors.jopeq import jopeq
from halo_jax.compressors.laq import laq
from halo_jax.compressors.lfl import lfl
from halo_jax.compressors.powersgd import powersgd
from halo_jax.compressors.qa_fl import qa_fl
from halo_jax.compressors.qsgd import qsgd
from halo_jax.compressors.terngrad import terngrad
from halo_jax.compressors.topk import topk
from halo_jax.compressors.uniform import uniform
from halo_jax.compressors.uveqfed import uveqfed

COMPRESSORS = {
    "identity": identity,
    "uniform": uniform,
    "qsgd": qsgd,
    "terngrad": terngrad,
    "uveqfed": uveqfed,
    "jopeq": jopeq,
    "lfl": lfl,
    "fedhq": fedhq,
    "fedhq_plus": fedhq_plus,
    "adaquantfl": adaquantfl,
    "laq": laq,
    "hsq": hsq,
    "fl_pqsu": fl_pqsu,
    "qa_fl": qa_fl,
    "topk": topk,
    "ef_signsgd": ef_signsgd,
    "drive": drive,
    "eden": eden,
    "powersgd": powersgd,
}

__all__ = ["COMPRESSORS", "Broadcast", "Compressor", "Context", "Server", "Upload"]
