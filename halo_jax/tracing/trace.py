"""From a model to the list of its layers, by tracing: no weights are made and nothing is computed.

Any Flax module will do, linen or nnx, with layers of ours, of Flax, or products written out with `lax`. A layer is a
convolution or product of the input, or what is computed from it, with a matrix that is computed from parameters;
`dataflow` finds them, `products` reads their sizes.
"""

import inspect
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx
from flax.core import DenyList
from jax.extend.core import ClosedJaxpr
from jax.interpreters import partial_eval

from halo_jax.tracing.dataflow import walk
from halo_jax.tracing.origins import DATA, Leaf, Operation, Origin
from halo_jax.types import LayerShape, Precision


class Skipped(NamedTuple):
    """Operations on what depends on the input that are no layers, and so are in no price."""

    operation: str  # the primitive's name
    reason: str
    times: int  # how often it runs in one pass
    macs: int  # of all of them, where they are products
    elements: int  # of all results


class Traced(NamedTuple):
    """What one pass of a model runs: layers in program order, their names, and the rest, grouped by operation."""

    layers: tuple[LayerShape, ...]
    names: tuple[str, ...]
    skipped: tuple[Skipped, ...]


class _Arguments(NamedTuple):
    """The arguments of a module's call besides the example, by name: those that are fixed, and arrays."""

    static: dict[str, Any]
    arrays: dict[str, Any]


class _Program(NamedTuple):
    """A module as a function `apply(params, others, *inputs)`, and the types of its arguments."""

    apply: Callable[..., Any]
    params: Any
    others: Any
    inputs: tuple[Any, ...]


def layer_shapes(
    module: nn.Module | nnx.Module, input_shape: tuple[int, ...], *, dtype: Any = jnp.float32, **kwargs: Any
) -> tuple[LayerShape, ...]:
    """The convolutions and dense layers that `module` runs on one example, in order.

    Shapes alone, for a cost model: `trace_layers` has names as well, and says what counts as a layer.

    Args:
      module: a linen or nnx module.
      input_shape: one example without the batch axis.
      dtype: of the example.
      **kwargs: more arguments of the module's call.

    Returns:
      The layers in program order.

    Raises:
      ValueError: as `trace_layers`.
    """
    return trace_layers(module, input_shape, dtype=dtype, **kwargs).layers


def trace_layers(
    module: nn.Module | nnx.Module, input_shape: tuple[int, ...], *, dtype: Any = jnp.float32, **kwargs: Any
) -> Traced:
    """The layers that `module` runs on one example, their names, and what it runs besides.

    Weights that run again on an input of the same size are one layer with `repeats`: a module called twice, a recurrent
    cell in each step (the first state counts as data), a loop over shared weights. On an input of another size they are
    a layer more, whose crossbars count again. Slices of a stacked or fused weight are layers of their own. Of a branch,
    the side of most MACs counts. Weights that are chosen or computed by the input are activations, and so skipped. Only
    what the module's results need counts.

    Args:
      module: a linen module, or an nnx module, which may be abstract (`nnx.eval_shape`). Random streams and mutable
        collections need nothing.
      input_shape: one example without the batch axis: `(H, W, C)`, `(T, D)`, `(D,)`, or `(T,)` of tokens.
      dtype: of the example; int32 for tokens.
      **kwargs: more arguments of the module's call, such as `train=False`; arrays, or `jax.ShapeDtypeStruct`, are
        inputs as well. An argument called `precision` or `bits` is 8-8-8 unless given.

    Returns:
      The layers in program order, a name for each, and what runs besides. Names are those of modules, as in
      "encoder/Dense_1"; of parameters, where a module has several weights.

    Raises:
      ValueError: the arguments do not fit the module, it has no layer, or one that cannot be priced; in one line.
    """
    example = _example(input_shape, dtype)
    if not isinstance(module, nn.Module | nnx.Module):
        raise ValueError(f"{module!r} is no Flax module; give an instance of linen's or nnx's Module")
    name, arguments = type(module).__name__, _arguments(module, kwargs)
    try:
        make = _linen if isinstance(module, nn.Module) else _nnx
        program = make(module, example, arguments)
        jaxpr = jax.make_jaxpr(program.apply)(program.params, program.others, *program.inputs)
    except Exception as error:
        where = f"one example of shape {example.shape[1:]} (without a batch axis), {example.dtype}"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name} does not run on {where}: {reason}") from error
    needed, _ = partial_eval.dce_jaxpr(jaxpr.jaxpr, [True] * len(jaxpr.out_avals), instantiate=True)
    sizes = {_path(path): leaf.size for path, leaf in jax.tree_util.tree_leaves_with_path(program.params)}
    origins = [Origin(leaves=frozenset([Leaf(path)])) for path in sizes]
    origins += [Origin()] * len(jax.tree.leaves(program.others)) + [DATA] * len(jax.tree.leaves(program.inputs))
    operations = walk(ClosedJaxpr(needed, jaxpr.consts), origins).operations
    if not any(operation.layer for operation in operations):
        raise ValueError(f"{name} has no convolution or dense layer to price")
    return Traced(*_layers(operations, sizes), skipped=_skipped(operations))


def _example(input_shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    try:
        shape = tuple(operator.index(size) for size in input_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(f"input_shape={input_shape!r}; give the whole sizes of one example, such as (32, 32, 3)")
    return jax.ShapeDtypeStruct((1, *shape), dtype)


def _arguments(module: Any, kwargs: dict[str, Any]) -> _Arguments:
    """What `kwargs` give, and bits for layers that take some. Raises ValueError for what the call does not take."""
    name = type(module).__name__
    taken = {p.name: p for p in list(inspect.signature(type(module).__call__).parameters.values())[2:]}
    kinds = [parameter.kind for parameter in taken.values()]
    named = [p.name for p in taken.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    bits = {key: Precision(8, 8, 8) for key in ("precision", "bits") if key in named}
    given = bits | kwargs
    for key in given:
        if key not in named and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise ValueError(f"{name} takes no argument {key!r}, only {', '.join(named) or 'its input'}")
    missing = [key for key in named if taken[key].default is inspect.Parameter.empty and key not in given]
    if missing:
        raise ValueError(f"{name} also needs {', '.join(missing)}: give it by name, {missing[0]}=...")
    arrays = {key: value for key, value in given.items() if key not in bits and _is_array(value)}
    return _Arguments({key: value for key, value in given.items() if key not in arrays}, arrays)


def _is_array(value: Any) -> bool:
    is_key = jnp.issubdtype(getattr(value, "dtype", bool), jax.dtypes.prng_key)
    return isinstance(value, jax.Array | np.ndarray | jax.ShapeDtypeStruct) and not is_key


def _linen(module: Any, example: Any, arguments: _Arguments) -> _Program:
    static, arrays = arguments

    def rngs():
        return {"params": jax.random.key(0)}  # linen takes it for all other streams as well

    def init(example, arrays):
        return module.init(rngs(), example, **static, **arrays)

    variables = dict(jax.eval_shape(init, example, arrays))
    params = variables.pop("params", {})

    def apply(params, others, example, arrays):
        return module.apply(
            {"params": params, **others}, example, **static, **arrays, rngs=rngs(), mutable=DenyList("params")
        )[0]

    return _Program(apply, params, variables, (example, arrays))


def _nnx(module: Any, example: Any, arguments: _Arguments) -> _Program:
    static, arrays = arguments
    graph, *states = nnx.split(module, nnx.Param, ...)
    params, others = jax.eval_shape(lambda states: states, states)

    def apply(params, others, example, arrays):
        return nnx.merge(graph, params, others)(example, **static, **arrays)

    return _Program(apply, params, others, (example, arrays))


def _path(path: Sequence[Any]) -> str:
    """The keys of a parameter, such as "encoder/Dense_1/kernel"; the value in a box goes by the box's."""
    boxed = jax.tree_util.GetAttrKey("value")
    return jax.tree_util.keystr(tuple(key for key in path if key != boxed), simple=True, separator="/")


def _layers(operations: Sequence[Operation], sizes: dict[str, int]) -> tuple[tuple[LayerShape, ...], tuple[str, ...]]:
    """Layers, with what runs the same weights on the same size added up, and their names."""
    runs = Counter()
    for operation in operations:
        if operation.layer is not None:
            once = operation.layer._replace(repeats=1)
            runs[operation.weights, once] += operation.layer.repeats * operation.times
    layers = tuple(layer._replace(repeats=repeats) for (_, layer), repeats in runs.items())
    return layers, _names([min(leaves, key=lambda leaf: (-sizes[leaf.path], leaf)) for leaves, _ in runs])


def _names(leaves: Sequence[Leaf]) -> tuple[str, ...]:
    """Modules' names; parameters' where a module has several weights, numbered where one weight is several layers."""

    def module_of(leaf: Leaf) -> str:
        return (leaf.path.rpartition("/")[0] or leaf.path) + leaf.slice

    weights_of = Counter(map(module_of, set(leaves)))
    names, seen = [], Counter()
    for leaf in leaves:
        seen[leaf] += 1
        name = module_of(leaf) if weights_of[module_of(leaf)] == 1 else leaf.path + leaf.slice
        names.append(name if seen[leaf] == 1 else f"{name}#{seen[leaf]}")
    return tuple(names)


def _skipped(operations: Sequence[Operation]) -> tuple[Skipped, ...]:
    """What is no layer, added up by operation and reason."""
    sums: dict[tuple[str, str], np.ndarray] = {}
    for op in operations:
        if op.layer is None:
            row = op.times * np.array([1, op.macs, op.elements])
            sums[op.name, op.reason] = sums.get((op.name, op.reason), 0) + row
    return tuple(Skipped(*key, *map(int, row)) for key, row in sums.items())
