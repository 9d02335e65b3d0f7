"""Hardware-aware low-precision federated learning (HaLo-FL, DATE 2024) in JAX.

Clients with energy, latency or area constraints train one model, each with its own bits for weights, activations and
errors. One round, in the order of the modules (`federation.run_round`, Algorithm 1 of the paper):

    datasets, partition   images and labels, dealt to clients
    exchange              broadcast the 8-bit model, or what a compressor sends in its place
    selectors, hardware   each client picks its precision by what it costs on a chip
    training              each client trains: quantize -> contraction -> layers -> models, stepped by a recipe
    compressors           each client's update becomes a message, and every bit of it is counted
    server                the weighted average of Eq. 1, at 8 bits
    evaluation            accuracy of the server's model
    record, report        rounds.csv, clients.csv, summary.json, table, figures, report.html

`clients` lifts what is written for one client over all of them. `arms` and `assemble` turn a config's names into
stages, `run` runs them, for several seeds if need be, and `comparison` puts these side by side. Without training,
`tracing` finds the layers of any model, `hardware` prices them, and `study` runs one of `studies`: questions to the
chip alone.
"""

from halo_jax.quantize import Numerics, quantize_activation, quantize_error, quantize_weight
from halo_jax.types import Constraint, Cost, Demand, LayerShape, Precision

__version__ = "0.1.0"

__all__ = [
    "Constraint",
    "Cost",
    "Demand",
    "LayerShape",
    "Numerics",
    "Precision",
    "quantize_activation",
    "quantize_error",
    "quantize_weight",
]
