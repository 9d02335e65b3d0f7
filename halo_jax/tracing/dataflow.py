"""What in a traced program depends on the input and what on which weights: so a product is a layer, or is not.

A product of something that depends on the input with something that does not, but that is computed from trained
parameters, runs on crossbars that hold weights. Everything is followed through the calls, loops and branches of a
jaxpr; nothing is computed, but for loop counters.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import numpy as jnp
from jax.extend.core import Literal

from halo_jax.tracing.parts import UNKNOWN, known, parts, work_out
from halo_jax.tracing.products import is_product, layer_shape, product_macs, product_name
from halo_jax.types import LayerShape

ACTIVATIONS = "product of two activations"
FIXED = "fixed matrix, nothing to train"
KERNEL = "convolution of weights with a kernel computed from the input"
LOOKUP = "lookup in a trained table, not a MAC"
NO_MAC = "not a MAC"
UNREAD = "program of its own, not looked into"

_LAYOUT = """broadcast_in_dim reshape transpose squeeze expand_dims convert_element_type bitcast_convert_type slice pad
  dynamic_slice dynamic_update_slice concatenate stack unstack split gather scatter rev copy copy_p stop_gradient name
  optimization_barrier device_put sharding_constraint reduce_precision tile""".split()  # noqa: SIM905
_UNREAD = ("pallas_call", "ffi_call", "pure_callback", "io_callback", "ragged_dot_general", "scaled_matmul")


class Leaf(NamedTuple):
    """A trained tensor, by the path of its parameter, or a part of it such as "[3]"."""

    path: str
    part: str = ""


class Origin(NamedTuple):
    """Where a value comes from: the input, or else these leaves, if any; and what it is, if it is a known index."""

    data: bool = False
    leaves: frozenset[Leaf] = frozenset()
    value: np.ndarray | None = None

    def part(self, label: str, value: np.ndarray | None = None) -> "Origin":
        """A part of it."""
        return Origin(self.data, frozenset(Leaf(leaf.path, leaf.part + label) for leaf in self.leaves), value)


DATA = Origin(data=True)


class Operation(NamedTuple):
    """An operation on what depends on the input; `layer` and its `weights`, or the `reason` why it is none."""

    name: str
    macs: int
    elements: int
    reason: str = ""
    layer: LayerShape | None = None
    weights: frozenset[Leaf] = frozenset()
    times: int = 1


Flow = tuple[list[Origin], list[Operation]]  # of the results, and what runs to get them


def walk(program: Any, inputs: Sequence[Origin]) -> Flow:
    """Follow a jaxpr, closed or not, from the origins of its inputs; operations in program order.

    Raises:
      ValueError: a layer that cannot be priced, or one in a loop of unknown length.
    """
    jaxpr = getattr(program, "jaxpr", program)
    constants = [Origin(value=known(value)) for value in getattr(program, "consts", ())]
    origins = dict(zip(jaxpr.constvars, constants or [Origin()] * len(jaxpr.constvars), strict=True))
    origins.update(zip(jaxpr.invars, inputs, strict=True))
    read = lambda atom: Origin(value=known(atom.val)) if isinstance(atom, Literal) else origins[atom]  # noqa: E731
    operations: list[Operation] = []
    for eqn in jaxpr.eqns:
        results, found = _run(eqn, [read(atom) for atom in eqn.invars])
        origins.update(zip(eqn.outvars, results, strict=True))
        operations += found
    return [read(atom) for atom in jaxpr.outvars], operations


def _run(eqn: Any, inputs: list[Origin]) -> Flow:
    if is_product(eqn):
        return [_join(inputs)] * len(eqn.outvars), _product(eqn, inputs)
    control = {"scan": _scan, "while": _while, "cond": _cond}.get(eqn.primitive.name)
    if control is not None:
        return control(eqn, inputs)
    called = next((inner for inner in _programs(eqn) if _types(inner) == _types(eqn)), None)
    return walk(called, inputs) if called is not None else _other(eqn, inputs)


def _join(origins: Sequence[Origin]) -> Origin:
    if any(origin.data for origin in origins):
        return DATA
    return Origin(leaves=frozenset().union(*(origin.leaves for origin in origins)))


def _product(eqn: Any, inputs: list[Origin]) -> list[Operation]:
    left, right = inputs[:2]
    operation = Operation(product_name(eqn), product_macs(eqn), eqn.outvars[0].aval.size)
    weight = 0 if right.data else 1
    if not (left.data or right.data) or not operation.macs:
        return []
    if left.data and right.data:
        return [operation._replace(reason=ACTIVATIONS)]
    if not inputs[weight].leaves:
        return [operation._replace(reason=FIXED)]
    if weight == 0 and operation.name != "dot_general":
        return [operation._replace(reason=KERNEL)]
    return [operation._replace(layer=layer_shape(eqn, weight), weights=inputs[weight].leaves)]


def _other(eqn: Any, inputs: list[Origin]) -> Flow:
    """What is no product: it passes on where its operands come from."""
    name, joined = eqn.primitive.name, _join(inputs)
    values = [origin.value for origin in inputs]
    if not joined.data:
        value = work_out(eqn, values)
        return [joined.part(label, value) for label in parts(eqn, values)], []
    results = [joined] * len(eqn.outvars)
    outputs = [var.aval for var in eqn.outvars if jnp.issubdtype(getattr(var.aval, "dtype", bool), jnp.inexact)]
    operation = Operation(name, 0, sum(output.size for output in outputs), NO_MAC)
    if name in ("gather", "dynamic_slice") and not inputs[0].data and inputs[0].leaves:
        return results, [operation._replace(reason=LOOKUP)]
    if name in _UNREAD or any(_has_products(inner) for inner in _programs(eqn)):
        return results, [operation._replace(reason=UNREAD)]
    return results, [] if name in _LAYOUT or not outputs else [operation]


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
    index, flows = inputs[0], [walk(branch, inputs[1:]) for branch in eqn.params["branches"]]
    if index.value is not None:
        return flows[min(max(int(index.value), 0), len(flows) - 1)]
    results = [_join([index, *origins]) for origins in zip(*(results for results, _ in flows), strict=True)]
    return results, max((found for _, found in flows), key=lambda found: sum(op.macs * op.times for op in found))


def _scan(eqn: Any, inputs: list[Origin]) -> Flow:
    """All steps at once where they run the same weights, else step by step: stacked weights are layers of their own."""
    params, length = eqn.params, eqn.params["length"]
    first, end = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, xs = inputs[:first], inputs[end:]

    def step(state: Sequence[Origin], index: int | None) -> Flow:
        label = UNKNOWN if index is None else f"[{index}]"
        sliced = [x.part(label, None if x.value is None or index is None else x.value[index]) for x in xs]
        return walk(params["jaxpr"], [*consts, *state, *sliced])

    state = _settled(lambda state: step(state, None)[0][: end - first], inputs[first:end])
    results, found = step(state, None)
    stacked = [origin._replace(leaves=frozenset(map(_stacked, origin.leaves))) for origin in results[end - first :]]
    results = [*results[: end - first], *stacked]
    if not _takes_parts(found, inputs):
        return results, [op._replace(times=op.times * length) for op in found if length]
    state, found = _start(inputs[first:end], state), []
    for index in reversed(range(length)) if params["reverse"] else range(length):
        outputs, more = step(state, index)
        state = outputs[: end - first]
        found += more
    return results, found


def _while(eqn: Any, inputs: list[Origin]) -> Flow:
    """A loop whose counters are known runs step by step; another one may hold no product."""
    params = eqn.params
    first, end = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    step = lambda state: walk(params["body_jaxpr"], [*inputs[first:end], *state])  # noqa: E731
    goes_on = lambda state: walk(params["cond_jaxpr"], [*inputs[:first], *state])[0][0].value  # noqa: E731

    settled = _settled(lambda state: step(state)[0], inputs[end:])
    results, found = step(settled)
    if not any(op.macs for op in found):
        return results, found
    state, found = _start(inputs[end:], settled), []
    while (more := goes_on(state)) is not None:
        if not more:
            return results, found
        state, operations = step(state)
        found += operations
    raise ValueError("a while loop of unknown length holds products: a scan, or a fori_loop of fixed length, has one")


def _settled(step: Callable[[Sequence[Origin]], Sequence[Origin]], state: Sequence[Origin]) -> list[Origin]:
    """The origins of what a loop carries, of any step: data from the first step on if it is in a later one."""
    state = [_join([origin]) for origin in state]
    while True:
        wider = [_widened(before, after) for before, after in zip(state, step(state), strict=True)]
        if wider == state:
            return wider
        state = wider


def _widened(before: Origin, after: Origin) -> Origin:
    """Both; a weight that is carried keeps the part that it started with, or parts of parts would never end."""
    paths = {leaf.path for leaf in before.leaves}
    return _join([before, after._replace(leaves=frozenset(leaf for leaf in after.leaves if leaf.path not in paths))])


def _start(state: Sequence[Origin], settled: Sequence[Origin]) -> list[Origin]:
    return [DATA if late.data else early for early, late in zip(state, settled, strict=True)]


def _stacked(leaf: Leaf) -> Leaf:
    return Leaf(leaf.path, leaf.part.removesuffix(UNKNOWN))


def _takes_parts(operations: Sequence[Operation], inputs: Sequence[Origin]) -> bool:
    """Whether a layer's weights are a part, unknown as yet, of what a loop gets."""
    whole = frozenset().union(*(origin.leaves for origin in inputs))
    weights = frozenset().union(*(op.weights for op in operations))
    return any(UNKNOWN in leaf.part for leaf in weights - whole)
