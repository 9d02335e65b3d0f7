"""Loops of a traced program: what they carry from step to step, and which weights each step takes.

A loop is followed once for all steps, from what its carry may be in any of them; only where a step takes a slice of
weights that depends on its index, or where the number of steps is not written down, it is followed step by step.
`walk` follows the program of a step, as `dataflow.walk` does.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from halo_jax.tracing.origins import DATA, Flow, Leaf, Operation, Origin, join
from halo_jax.tracing.weight_slices import UNKNOWN

Walk = Callable[[Any, Sequence[Origin]], Flow]


class _Step(NamedTuple):
    """What one step gives: the carry of the next one, what a scan stacks up, and what runs."""

    carry: list[Origin]
    outputs: list[Origin]
    operations: list[Operation]


class _ScanInputs(NamedTuple):
    """The operands of a scan: the same in each step, handed from step to step, or sliced along their first axis."""

    constants: list[Origin]
    carry: list[Origin]
    stacked: list[Origin]


def scan(eqn: Any, inputs: list[Origin], walk: Walk) -> Flow:
    """All steps at once where they run the same weights, else step by step: stacked weights are layers of their own."""
    params, length = eqn.params, eqn.params["length"]
    first_carry, first_stacked = params["num_consts"], params["num_consts"] + params["num_carry"]
    given = _ScanInputs(inputs[:first_carry], inputs[first_carry:first_stacked], inputs[first_stacked:])

    def step(carry: Sequence[Origin], index: int | None) -> _Step:
        slices = [_row(origin, index) for origin in given.stacked]
        results, operations = walk(params["jaxpr"], [*given.constants, *carry, *slices])
        return _Step(results[: len(carry)], results[len(carry) :], operations)

    settled = _settled(lambda carry: step(carry, None).carry, given.carry)
    any_step = step(settled, None)
    results = [*any_step.carry, *map(_all_rows, any_step.outputs)]
    if not _takes_slices(any_step.operations, inputs):
        return Flow(results, [op._replace(times=op.times * length) for op in any_step.operations if length])
    carry, operations = _start(given.carry, settled), []
    for index in reversed(range(length)) if params["reverse"] else range(length):
        carry, _, more = step(carry, index)
        operations += more
    return Flow(results, operations)


def while_loop(eqn: Any, inputs: list[Origin], walk: Walk) -> Flow:
    """A loop whose counters are known runs step by step; another one may hold no product.

    Raises:
      ValueError: a loop of unknown length that holds products.
    """
    params = eqn.params
    first_of_body, first_carry = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition_constants, body_constants = inputs[:first_of_body], inputs[first_of_body:first_carry]
    given = inputs[first_carry:]

    def step(carry: Sequence[Origin]) -> Flow:
        return walk(params["body_jaxpr"], [*body_constants, *carry])

    def goes_on(carry: Sequence[Origin]) -> Any:
        (condition,) = walk(params["cond_jaxpr"], [*condition_constants, *carry]).results
        return condition.value

    settled = _settled(lambda carry: step(carry).results, given)
    any_step = step(settled)
    if not any(op.macs for op in any_step.operations):
        return any_step
    carry, operations = _start(given, settled), []
    while (more := goes_on(carry)) is not None:
        if not more:
            return Flow(any_step.results, operations)
        carry, in_step = step(carry)
        operations += in_step
    raise ValueError("a while loop of unknown length holds products: a scan, or a fori_loop of fixed length, has one")


def _row(origin: Origin, index: int | None) -> Origin:
    """What step `index`, or any step if it is None, sees of a stacked operand."""
    if index is None:
        return origin.sliced(UNKNOWN)
    return origin.sliced(f"[{index}]", None if origin.value is None else origin.value[index])


def _all_rows(origin: Origin) -> Origin:
    """What any step gives, stacked up: what it took a row of is whole again."""
    leaves = frozenset(Leaf(leaf.path, leaf.slice.removesuffix(UNKNOWN)) for leaf in origin.leaves)
    return origin._replace(leaves=leaves)


def _settled(step: Callable[[Sequence[Origin]], Sequence[Origin]], carry: Sequence[Origin]) -> list[Origin]:
    """The origins of what a loop carries, of any step: data from the first step on if it is in a later one."""
    carry = [join([origin]) for origin in carry]
    while True:
        wider = [_widened(before, after) for before, after in zip(carry, step(carry), strict=True)]
        if wider == carry:
            return wider
        carry = wider


def _widened(before: Origin, after: Origin) -> Origin:
    """Both; a weight that is carried keeps the slice that it started with, or slices of slices would never end."""
    paths = {leaf.path for leaf in before.leaves}
    return join([before, after._replace(leaves=frozenset(leaf for leaf in after.leaves if leaf.path not in paths))])


def _start(carry: Sequence[Origin], settled: Sequence[Origin]) -> list[Origin]:
    """The carry of the first step: data where it is data in any."""
    return [DATA if late.data else early for early, late in zip(carry, settled, strict=True)]


def _takes_slices(operations: Sequence[Operation], inputs: Sequence[Origin]) -> bool:
    """Whether a layer's weights are a slice, unknown as yet, of what a loop gets."""
    given = frozenset().union(*(origin.leaves for origin in inputs))
    weights = frozenset().union(*(op.weights for op in operations))
    return any(UNKNOWN in leaf.slice for leaf in weights - given)
