"""From any Flax module to the layers that it runs: a stage of its own.

`layer_shapes` is what users call. It traces the module; `dataflow` follows where each value comes from (`origins`),
through `loops` and branches, and so finds the layers; `products` reads their sizes, `weight_slices` tells which slice
of a stacked or fused weight is taken, and `known_integers` works out the indices.
"""

from halo_jax.tracing.trace import Skipped, Traced, layer_shapes, trace_layers

__all__ = ["Skipped", "Traced", "layer_shapes", "trace_layers"]
