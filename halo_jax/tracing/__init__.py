"""From any Flax module to the layers that it runs: a stage of its own, in four files.

`layer_shapes` is what users call; `dataflow` finds layers in a traced program, `products` reads their sizes, `parts`
tells which part of a stacked or fused weight is taken.
"""

from halo_jax.tracing.layer_shapes import Skipped, Traced, layer_shapes, trace_layers

__all__ = ["Skipped", "Traced", "layer_shapes", "trace_layers"]
