"""What in a traced program depends on the input and what on which weights: so a product is a layer, or is not.

A product of something that depends on the input with something that does not, but that is computed from trained
parameters, runs on crossbars that hold weights. Every value has an `Origin`, and equations pass origins on: the join of
their operands' in general, a slice of a leaf where they slice, and through calls, loops and branches as these run.
Nothing is computed, but for loop counters.
"""

from collections.abc import Sequence
from typing import Any

from jax import numpy as jnp
from jax.extend.core import Literal

from halo_jax.tracing import loops
from halo_jax.tracing.known_integers import integers_of, work_out
from halo_jax.tracing.origins import Flow, Operation, Origin, join
from halo_jax.tracing.products import is_product, layer_shape, product_macs, product_name
from halo_jax.tracing.weight_slices import slices_taken

ACTIVATIONS = "product of two activations"
FIXED = "fixed matrix, nothing to train"
KERNEL = "convolution of weights with a kernel computed from the input"
LOOKUP = "lookup in a trained table, not a MAC"
NO_MAC = "not a MAC"
UNREAD = "program of its own, not looked into"

_LAYOUT = (  # what moves or renames numbers, and so is not listed as an operation
    *("broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "convert_element_type"),
    *("bitcast_convert_type", "slice", "pad", "dynamic_slice", "dynamic_update_slice", "concatenate", "stack"),
    *("unstack", "split", "gather", "scatter", "rev", "copy", "copy_p", "stop_gradient", "name"),
    *("optimization_barrier", "device_put", "sharding_constraint", "reduce_precision", "tile"),
)
_UNREAD = ("pallas_call", "ffi_call", "pure_callback", "io_callback", "ragged_dot_general", "scaled_matmul")


def walk(program: Any, inputs: Sequence[Origin]) -> Flow:
    """Follow a jaxpr, closed or not, from the origins of its inputs; operations in program order.

    Raises:
      ValueError: a layer that cannot be priced, or one in a loop of unknown length.
    """
    jaxpr = getattr(program, "jaxpr", program)
    constants = [Origin(value=integers_of(value)) for value in getattr(program, "consts", ())]
    origins = dict(zip(jaxpr.constvars, constants or [Origin()] * len(jaxpr.constvars), strict=True))
    origins.update(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Origin:
        return Origin(value=integers_of(atom.val)) if isinstance(atom, Literal) else origins[atom]

    operations: list[Operation] = []
    for eqn in jaxpr.eqns:
        flow = _run(eqn, [read(atom) for atom in eqn.invars])
        origins.update(zip(eqn.outvars, flow.results, strict=True))
        operations += flow.operations
    return Flow([read(atom) for atom in jaxpr.outvars], operations)


def _run(eqn: Any, inputs: list[Origin]) -> Flow:
    if is_product(eqn):
        return Flow([join(inputs)] * len(eqn.outvars), _product(eqn, inputs))
    if eqn.primitive.name == "scan":
        return loops.scan(eqn, inputs, walk)
    if eqn.primitive.name == "while":
        return loops.while_loop(eqn, inputs, walk)
    if eqn.primitive.name == "cond":
        return _cond(eqn, inputs)
    called = next((inner for inner in _programs(eqn) if _types(inner) == _types(eqn)), None)
    return walk(called, inputs) if called is not None else _other(eqn, inputs)


def _product(eqn: Any, inputs: list[Origin]) -> list[Operation]:
    lhs, rhs = inputs[:2]
    operation = Operation(product_name(eqn), product_macs(eqn), eqn.outvars[0].aval.size)
    weight = 0 if rhs.data else 1
    if not (lhs.data or rhs.data) or not operation.macs:
        return []
    if lhs.data and rhs.data:
        return [operation._replace(reason=ACTIVATIONS)]
    if not inputs[weight].leaves:
        return [operation._replace(reason=FIXED)]
    if weight == 0 and operation.name != "dot_general":
        return [operation._replace(reason=KERNEL)]
    return [operation._replace(layer=layer_shape(eqn, weight), weights=inputs[weight].leaves)]


def _other(eqn: Any, inputs: list[Origin]) -> Flow:
    """What is no product: it passes on where its operands come from."""
    name, joined = eqn.primitive.name, join(inputs)
    values = [origin.value for origin in inputs]
    if not joined.data:
        value = work_out(eqn, values)
        return Flow([joined.sliced(taken, value) for taken in slices_taken(eqn, values)], [])
    results = [joined] * len(eqn.outvars)
    outputs = [var.aval for var in eqn.outvars if jnp.issubdtype(getattr(var.aval, "dtype", bool), jnp.inexact)]
    operation = Operation(name, 0, sum(output.size for output in outputs), NO_MAC)
    if name in ("gather", "dynamic_slice") and not inputs[0].data and inputs[0].leaves:
        return Flow(results, [operation._replace(reason=LOOKUP)])
    if name in _UNREAD or any(_has_products(inner) for inner in _programs(eqn)):
        return Flow(results, [operation._replace(reason=UNREAD)])
    return Flow(results, [] if name in _LAYOUT or not outputs else [operation])


def _programs(eqn: Any) -> list[Any]:
    """The programs that an equation holds."""
    values = [item for value in eqn.params.values() for item in (value if isinstance(value, tuple) else (value,))]
    return [value for value in values if hasattr(getattr(value, "jaxpr", value), "eqns")]


def _types(program: Any) -> list[list[tuple[int, ...]]]:
    """The shapes that an equation or a program takes and gives: equal for a call and what it calls."""
    program = getattr(program, "jaxpr", program)
    return [[getattr(var.aval, "shape", ()) for var in side] for side in (program.invars, program.outvars)]


def _has_products(program: Any) -> bool:
    eqns = getattr(program, "jaxpr", program).eqns
    return any(is_product(eqn) or any(map(_has_products, _programs(eqn))) for eqn in eqns)


def _cond(eqn: Any, inputs: list[Origin]) -> Flow:
    """The branch that a known index picks; else the one of most MACs, whose results may come from any branch."""
    index, *operands = inputs
    flows = [walk(branch, operands) for branch in eqn.params["branches"]]
    if index.value is not None:
        return flows[min(max(int(index.value), 0), len(flows) - 1)]
    results = [join([index, *origins]) for origins in zip(*(flow.results for flow in flows), strict=True)]
    largest = max(flows, key=lambda flow: sum(op.macs * op.times for op in flow.operations))
    return Flow(results, largest.operations)
