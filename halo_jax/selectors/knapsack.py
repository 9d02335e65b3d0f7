"""The multiple-choice knapsack: one of K options for each of L layers, least value within three loads.

minimise sum_l values[l, k_l]  subject to  sum_l loads[l, k_l, m] <= 1  for m = 0, 1, 2

Exact answers take time exponential in L. Here partial choices are extended layer by layer, and the most promising go
on. All are judged by one lower bound, from Lagrangian relaxation: what the layers left add is at least, for any
multipliers u >= 0 (a price on each load, [3]),

    sum over layers left of min_k (values + loads @ u)_k - (1 - load so far) @ u

At the end, each two layers in turn give up what they hold for the best two options that fit beside the others.

Source: Geoffrion, Lagrangean relaxation for integer programming, 1974; the search is a beam search on that bound.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

WIDTH = 256  # partial choices that go on
KEEP, FEW, TELLING = 128, 512, 8  # options of a layer: that are tried; that are compared; that tell its rank
STEPS, SWEEPS = 200, 3  # of Adam on the multipliers; of exchanges, over all pairs of layers
AROUND = 64  # multipliers near the best ones, a factor of up to 4 away, spread evenly: the R3 sequence of Roberts
SPREAD = 4.0 ** (2 * ((0.5 + np.arange(AROUND)[:, None] * 1.2207440846 ** -np.arange(1, 4)) % 1) - 1)
PENALTY = 1e4  # value of an overshoot of 100 % in the search, in units of the worst choice's value
MARGIN = 1e-5  # relatively, more than what rounding adds to a load or a bound


class Options(NamedTuple):
    """What can be chosen for one layer, `[K]`, or for each, `[L, K]`."""

    number: jax.Array  # int32, the k of the knapsack
    value: jax.Array  # inf: not worth a try
    loads: jax.Array  # [..., 3]


class Beam(NamedTuple):
    """Partial choices `[W]`, of the same layers."""

    choices: jax.Array  # int32 [W, L], 0 where undecided
    value: jax.Array  # [W], inf: none
    loads: jax.Array  # [W, 3]
    decided: jax.Array  # bool [L]
    lost: jax.Array  # [], the lowest bound of all that was dropped


def search(values: jax.Array, loads: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Choices `[C, L]` of low value that mostly fit, and a lower bound on the value of any choice that fits.

    `values` `[L, K]` and `loads` `[L, K, 3]` are not negative. The bound, inf if nothing can fit, allows for sums of
    loads that exceed 1 by rounding. Pure and jittable; every shape is fixed.
    """
    unit = values.max(1).sum() + np.finfo(np.float32).tiny
    values = values / unit
    multipliers = _multipliers(values, loads)
    reduced = values[..., None] + loads @ multipliers.T  # [L, K, J]
    lowest = reduced.min(1)
    relaxed = lowest.sum(0) - (1 + MARGIN) * multipliers.sum(1)
    bounds = (relaxed + reduced - lowest[:, None]).max(-1)  # of all choices with option k in layer l
    options, lost = _options(values, loads, bounds)

    # Two orders of the layers, as either alone is far off now and then: most at stake first; most telling first.
    stakes, telling = (loads.max(1) - loads.min(1)).sum(1), jnp.sort(bounds, axis=1)[:, :TELLING].mean(1)
    orders = jnp.argsort(-jnp.stack([stakes, telling]), axis=1)
    one = lambda _, order: (None, _search_in_order(order, options, lost, values, loads, multipliers))  # noqa: E731
    _, (choices, bound) = lax.scan(one, None, orders)
    bound = jnp.maximum(bound.max(), relaxed.max())
    bound = jnp.where(bound > 1 + MARGIN, jnp.inf, bound)  # above the worst choice: a penalty that nothing escapes
    choices = choices.reshape(-1, len(values))
    exchanged = _exchange(_best(values, loads, choices), options, values, loads)
    return jnp.concatenate([choices, exchanged[None]]), bound * unit * (1 - MARGIN)


def _search_in_order(
    order: jax.Array, options: Options, lost: jax.Array, values: jax.Array, loads: jax.Array, multipliers: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Choices `[W + L, L]` and a bound, by deciding the layers in `order`.

    Every choice that fits is in the end in the beam, or worse than one that dominates it, or was dropped: none is
    better than the lowest bound among those. At each layer, the best way to finish with the layers left at their
    minimum for some multipliers is a choice too: the beam may end with nothing that fits.
    """
    layers = len(order)
    easiest = (values[..., None] + loads @ multipliers.T).argmin(1)  # [L, J]
    easy_value = jnp.take_along_axis(values, easiest, axis=1)
    easy_loads = jnp.take_along_axis(loads, easiest[..., None], axis=1)
    left = jax.tree.map(lambda x: x[order][::-1].cumsum(0)[::-1] - x[order], (easy_value, easy_loads))

    def decide(beam: Beam, layer: tuple) -> tuple[Beam, tuple]:
        index, own, (left_value, left_loads) = layer
        least = left_value + (left_loads * multipliers).sum(-1)
        beam, bounds = _extend(beam, index, own, least, multipliers)
        fits = (beam.loads[:, None] + left_loads <= 1).all(-1)
        best = jnp.argmin(jnp.where(fits, beam.value[:, None] + left_value, jnp.inf))
        row, column = best // len(multipliers), best % len(multipliers)
        return beam, (jnp.where(beam.decided, beam.choices[row], easiest[:, column]), bounds.min())

    beam = Beam(
        choices=jnp.zeros((WIDTH, layers), jnp.int32),
        value=jnp.full(WIDTH, jnp.inf).at[0].set(0),
        loads=jnp.zeros((WIDTH, 3)),
        decided=jnp.zeros(layers, bool),
        lost=lost,
    )
    inputs = (order, jax.tree.map(lambda x: x[order], options), left)
    beam, (finished, bounds) = lax.scan(decide, beam, inputs)
    return jnp.concatenate([beam.choices, finished]), jnp.minimum(beam.lost, bounds[-1])


def _extend(
    beam: Beam, index: jax.Array, options: Options, least: jax.Array, multipliers: jax.Array
) -> tuple[Beam, jax.Array]:
    """Decide layer `index`: the WIDTH extensions of lowest bound, and these bounds; dominated ones are no loss."""
    value = (beam.value[:, None] + options.value).ravel()
    loads = (beam.loads[:, None] + options.loads).reshape(-1, 3)
    bounds = value + (least - (1 + MARGIN - loads) @ multipliers.T).max(1)
    bounds, some, lost_first = _lowest(bounds, 2 * WIDTH)
    bounds = jnp.where(_dominated(value[some], loads[some]), jnp.inf, bounds)
    bounds, few, lost_then = _lowest(bounds, WIDTH)
    some = some[few]
    row, column = some // len(options.number), some % len(options.number)
    extended = Beam(
        choices=beam.choices[row].at[:, index].set(options.number[column]),
        value=jnp.where(bounds < jnp.inf, value[some], jnp.inf),
        loads=loads[some],
        decided=beam.decided.at[index].set(True),
        lost=jnp.minimum(beam.lost, jnp.minimum(lost_first, lost_then)),
    )
    return extended, bounds


def _best(values: jax.Array, loads: jax.Array, choices: jax.Array) -> jax.Array:
    """The choice `[L]` of least value among those of `[C, L]` that fit."""
    layers = np.arange(choices.shape[1])
    fits = (loads[layers, choices].sum(1) <= 1).all(-1)
    return choices[jnp.argmin(jnp.where(fits, values[layers, choices].sum(1), jnp.inf))]


def _exchange(choice: jax.Array, options: Options, values: jax.Array, loads: jax.Array) -> jax.Array:
    """A choice `[L]` after each two layers in turn took the best two options that fit beside the others'."""
    layers = np.arange(len(choice))

    def step(chosen: Options, pair: jax.Array) -> tuple[Options, None]:
        one, other = (jax.tree.map(lambda x, layer=layer: x[layer], options) for layer in (pair[0], pair[1]))
        taken = chosen.loads.sum(0)
        room = 1 - (taken - chosen.loads[pair].sum(0))
        fits = (one.loads[:, None] + other.loads <= room).all(-1)
        value = jnp.where(fits, one.value[:, None] + other.value, jnp.inf).ravel()
        best, now = jnp.argmin(value), jnp.where((taken <= 1).all(), chosen.value[pair].sum(), jnp.inf)
        row, column = best // len(other.value), best % len(other.value)
        new = jax.tree.map(lambda x, y: jnp.stack([x[row], y[column]]), one, other)
        return jax.tree.map(lambda x, y: x.at[pair].set(jnp.where(value[best] < now, y, x[pair])), chosen, new), None

    pairs = jnp.tile(jnp.stack(jnp.triu_indices(len(choice), 1), axis=1), (SWEEPS, 1))
    start = Options(choice, values[layers, choice], loads[layers, choice])
    return lax.scan(step, start, pairs)[0].number


def _multipliers(values: jax.Array, loads: jax.Array) -> jax.Array:
    """Multipliers `[J, 3]`: none, the best for all layers together, some around it, and long ones.

    The best maximise the dual, sum_l min_k (values + loads @ u)_lk - sum(u), which is concave: Adam on the logarithms.
    The long ones make whoever must overshoot pay the penalty.
    """
    used, scale = (loads > 0).any((0, 1)), jnp.maximum(values.min(1).sum(), 1e-30)

    def dual(logs: jax.Array) -> jax.Array:
        return (values + loads @ jnp.exp(logs)).min(1).sum() - jnp.exp(logs).sum()

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        logs, state, most, best = carry
        value, slope = jax.value_and_grad(dual)(logs)
        most, best = jnp.maximum(value, most), jnp.where(value > most, logs, best)
        update, state = adam.update(-slope / scale, state)
        return (optax.apply_updates(logs, update), state, most, best), None

    adam = optax.adam(optax.exponential_decay(0.5, STEPS, 0.004), b1=0.7, b2=0.9)
    start = jnp.where(used, jnp.log(scale), -60.0)  # e^-60: a load that nobody has costs nothing
    (*_, best), _ = lax.scan(step, (start, adam.init(start), -jnp.inf, start), None, length=STEPS)
    around = jnp.exp(best) * SPREAD.astype(np.float32)  # the first is the best
    directions = jnp.concatenate([around[::4], jnp.eye(3)])
    return jnp.concatenate([jnp.zeros((1, 3)), around, PENALTY * directions / directions.sum(1, keepdims=True)])


def _options(values: jax.Array, loads: jax.Array, bounds: jax.Array) -> tuple[Options, jax.Array]:
    """The KEEP options of each layer that are worth a try, and the lowest bound of those that aren't."""

    def pick(x: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, index.reshape(*index.shape, *[1] * (x.ndim - 2)), axis=1)

    bounds, some, lost_first = _lowest(bounds, FEW)
    values, loads = pick(values, some), pick(loads, some)
    bounds = jnp.where(_dominated(values, loads), jnp.inf, bounds)
    bounds, few, lost_then = _lowest(bounds, KEEP)
    worthwhile = jnp.where(bounds < jnp.inf, pick(values, few), jnp.inf)
    lost = jnp.minimum(lost_first.min(), lost_then.min())
    return Options(pick(some, few), worthwhile, pick(loads, few)), lost


def _lowest(numbers: jax.Array, size: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The `size` lowest of the last axis, where they stood, and the lowest of the others: inf if there are none."""
    everything, shape = numbers.shape[-1], numbers.shape
    if size >= everything:
        return numbers, jnp.broadcast_to(jnp.arange(everything), shape), jnp.full(shape[:-1], jnp.inf)
    negative, index = lax.top_k(-numbers, size + 1)
    return -negative[..., :size], index[..., :size], -negative[..., size]


def _dominated(value: jax.Array, loads: jax.Array) -> jax.Array:
    """Which points, along the last axis of `value`, have another as good in all: of equals, one before them."""
    points = jnp.concatenate([value[..., None], loads], axis=-1)
    as_good = (points[..., None, :, :] <= points[..., :, None, :]).all(-1)
    before = np.tri(value.shape[-1], k=-1, dtype=bool)
    return (as_good & (~jnp.swapaxes(as_good, -1, -2) | before)).any(-1)
