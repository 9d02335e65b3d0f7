"""The multiple-choice knapsack: one of K options for each of L layers, least value within three loads.

    minimise sum_l v[l, k_l]  subject to  sum_l w[l, k_l, m] <= 1  for m = 0, 1, 2

Exact answers take time exponential in L. Here layers are decided one after the other, and of all partial choices the
most promising go on: a beam search on a bound, in three ideas.

The bound. Take a choice that fits, some layers of which are decided, with value V and loads W `[3]`. With any price
u >= 0 `[3]` on the loads, and the sums over the layers that are not decided,

    V + sum v[l, k_l]  >=  V + sum v[l, k_l] + u . (W + sum w[l, k_l] - 1)          what fits has loads of 1 at most
                       >=  V - u . (1 - W) + sum min_k (v[l, k] + u . w[l, k])      each layer may take its own least

The last line knows no choice of the layers that remain. v + u . w is an option's reduced value; the option of least
reduced value is the layer's relaxed one. Every u gives a bound, and the highest over J of them counts (`lagrangian`).

The recurrence. Deciding layer l extends each partial choice (V, W) by each option k, with the sum over layers after l:

    V' = V + v[l, k],    W' = W + w[l, k],    bound' = V' + max_u (sum min_k (v + u . w) - u . (1 - W'))

BEAM_WIDTH extensions of lowest bound go on. One with another as good in V' and in all of W' is dominated, and no loss:
what completes it completes the other as well. Of all else that is dropped the lowest bound is kept, as `dropped`. So no
choice that fits is better than the lowest bound among what was dropped and what is in the beam at the end.

The exchange. At the end, each two layers in turn give up their options for the best two that fit beside the others'.

Source: Geoffrion, Lagrangean relaxation for integer programming, 1974, for the bound.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from halo_jax.selectors.lagrangian import multipliers

BEAM_WIDTH = 256  # partial choices that go on
OPTIONS_KEPT, OPTIONS_COMPARED = 128, 512  # of a layer: those that are tried, and those that are looked at for them
TELLING_OPTIONS = 8  # whose mean bound says how much depends on a layer
EXCHANGES = 3  # of each two layers
MARGIN = 1e-5  # relatively, more than what rounding adds to a load or a bound


class Found(NamedTuple):
    """What a search has found."""

    choices: jax.Array  # int32 [C, L], the k of each layer; of low value, and most of them fit
    bound: jax.Array  # [], no choice that fits has less value; inf: none fits


class Problem(NamedTuple):
    """What is to be chosen among, and the prices on loads that bounds are made with."""

    values: jax.Array  # [L, K]
    loads: jax.Array  # [L, K, 3]
    multipliers: jax.Array  # [J, 3]

    def reduced(self) -> jax.Array:
        """v + u . w of each option at each price, `[L, K, J]`."""
        return self.values[..., None] + self.loads @ self.multipliers.T


class Options(NamedTuple):
    """What can be chosen for one layer, `[K]`, or for each, `[L, K]`."""

    number: jax.Array  # int32, the k of the knapsack
    value: jax.Array  # inf: not worth a try
    loads: jax.Array  # [..., 3]


class Beam(NamedTuple):
    """Partial choices `[W]`, in all of which the same layers are decided."""

    choices: jax.Array  # int32 [W, L], 0 where undecided
    value: jax.Array  # [W], inf: none
    loads: jax.Array  # [W, 3]
    decided: jax.Array  # bool [L]
    dropped: jax.Array  # [], the lowest bound of all that was dropped


class Undecided(NamedTuple):
    """A layer to decide, and what the layers after it add where each takes its relaxed option."""

    layer: jax.Array  # int32 []
    options: Options  # [K]
    value_after: jax.Array  # [J], at each price
    loads_after: jax.Array  # [J, 3]


class Lowest(NamedTuple):
    """The lowest of some numbers, along the last axis."""

    numbers: jax.Array
    places: jax.Array  # where they stood
    next_lowest: jax.Array  # the lowest of the others; inf: there are none


def search(values: jax.Array, loads: jax.Array) -> Found:
    """Choices of low value that mostly fit, and a lower bound on the value of any choice that fits.

    `values` `[L, K]` and `loads` `[L, K, 3]` are not negative. The bound, inf if nothing can fit, allows for sums of
    loads that exceed 1 by rounding. Pure and jittable; every shape is fixed.
    """
    unit = values.max(1).sum() + np.finfo(np.float32).tiny
    values = values / unit
    problem = Problem(values, loads, multipliers(values, loads))
    reduced = problem.reduced()
    least = reduced.min(1)
    relaxed = least.sum(0) - (1 + MARGIN) * problem.multipliers.sum(1)  # [J], the bound before anything is decided
    bounds = (relaxed + reduced - least[:, None]).max(-1)  # [L, K], of all choices with option k in layer l
    options, dropped = _worthwhile(values, loads, bounds)

    # Two orders of the layers, as either alone is far off now and then: most at stake first; most telling first.
    stakes = (loads.max(1) - loads.min(1)).sum(1)
    telling = jnp.sort(bounds, axis=1)[:, :TELLING_OPTIONS].mean(1)
    orders = jnp.argsort(-jnp.stack([stakes, telling]), axis=1)

    def search_next(_: None, order: jax.Array) -> tuple[None, Found]:
        return None, _search_in_order(problem, options, dropped, order)

    _, (choices, bound) = lax.scan(search_next, None, orders)
    bound = jnp.maximum(bound.max(), relaxed.max())
    bound = jnp.where(bound > 1 + MARGIN, jnp.inf, bound)  # above the worst choice: a penalty that nothing escapes
    choices = choices.reshape(-1, len(values))
    exchanged = _exchange(_best(values, loads, choices), options, values, loads)
    return Found(jnp.concatenate([choices, exchanged[None]]), bound * unit * (1 - MARGIN))


def _search_in_order(problem: Problem, options: Options, dropped: jax.Array, order: jax.Array) -> Found:
    """Choices `[W + L, L]` and a bound, by deciding the layers in `order`.

    The beam may end with nothing that fits. So at each layer the best partial choice is also finished with the relaxed
    options of some price, if the two fit together.
    """
    values, loads, prices = problem
    layers = len(order)
    relaxed = problem.reduced().argmin(1)  # [L, J]
    relaxed_value = jnp.take_along_axis(values, relaxed, axis=1)
    relaxed_loads = jnp.take_along_axis(loads, relaxed[..., None], axis=1)
    after = [x[order][::-1].cumsum(0)[::-1] - x[order] for x in (relaxed_value, relaxed_loads)]

    def decide(beam: Beam, undecided: Undecided) -> tuple[Beam, tuple]:
        layer, options_of_layer, value_after, loads_after = undecided
        least_after = value_after + (loads_after * prices).sum(-1)
        beam, bounds = _extend(beam, layer, options_of_layer, least_after, prices)
        fits = (beam.loads[:, None] + loads_after <= 1).all(-1)
        best = jnp.argmin(jnp.where(fits, beam.value[:, None] + value_after, jnp.inf))
        partial, price = best // len(prices), best % len(prices)
        return beam, (jnp.where(beam.decided, beam.choices[partial], relaxed[:, price]), bounds.min())

    beam = Beam(
        choices=jnp.zeros((BEAM_WIDTH, layers), jnp.int32),
        value=jnp.full(BEAM_WIDTH, jnp.inf).at[0].set(0),
        loads=jnp.zeros((BEAM_WIDTH, 3)),
        decided=jnp.zeros(layers, bool),
        dropped=dropped,
    )
    inputs = Undecided(order, jax.tree.map(lambda x: x[order], options), *after)
    beam, (finished, bounds) = lax.scan(decide, beam, inputs)
    return Found(jnp.concatenate([beam.choices, finished]), jnp.minimum(beam.dropped, bounds[-1]))


def _extend(
    beam: Beam, layer: jax.Array, options: Options, least_after: jax.Array, prices: jax.Array
) -> tuple[Beam, jax.Array]:
    """Decide a layer: the extensions of lowest bound, and these bounds `[W]`.

    Args:
      beam: the partial choices so far.
      layer: int32 `[]`, which is decided.
      options: `[K]`, its own.
      least_after: `[J]`, the least reduced values of the layers after it, added, at each price.
      prices: `[J, 3]`.
    """
    value = (beam.value[:, None] + options.value).ravel()
    loads = (beam.loads[:, None] + options.loads).reshape(-1, 3)
    bounds = value + (least_after - (1 + MARGIN - loads) @ prices.T).max(1)
    compared = _lowest(bounds, 2 * BEAM_WIDTH)
    dominated = _dominated(value[compared.places], loads[compared.places])
    kept = _lowest(jnp.where(dominated, jnp.inf, compared.numbers), BEAM_WIDTH)
    extension = compared.places[kept.places]
    partial, option = extension // len(options.number), extension % len(options.number)
    extended = Beam(
        choices=beam.choices[partial].at[:, layer].set(options.number[option]),
        value=jnp.where(kept.numbers < jnp.inf, value[extension], jnp.inf),
        loads=loads[extension],
        decided=beam.decided.at[layer].set(True),
        dropped=jnp.minimum(beam.dropped, jnp.minimum(compared.next_lowest, kept.next_lowest)),
    )
    return extended, kept.numbers


def _best(values: jax.Array, loads: jax.Array, choices: jax.Array) -> jax.Array:
    """The choice `[L]` of least value among those of `[C, L]` that fit."""
    layers = np.arange(choices.shape[1])
    fits = (loads[layers, choices].sum(1) <= 1).all(-1)
    return choices[jnp.argmin(jnp.where(fits, values[layers, choices].sum(1), jnp.inf))]


def _exchange(choice: jax.Array, options: Options, values: jax.Array, loads: jax.Array) -> jax.Array:
    """A choice `[L]` after each two layers in turn took the best two options that fit beside the others'."""
    layers = np.arange(len(choice))

    def of_layer(layer: jax.Array) -> Options:
        return jax.tree.map(lambda x: x[layer], options)

    def step(chosen: Options, pair: jax.Array) -> tuple[Options, None]:
        first, second = of_layer(pair[0]), of_layer(pair[1])
        taken = chosen.loads.sum(0)
        room = 1 - (taken - chosen.loads[pair].sum(0))
        fits = (first.loads[:, None] + second.loads <= room).all(-1)
        value = jnp.where(fits, first.value[:, None] + second.value, jnp.inf).ravel()
        best, now = jnp.argmin(value), jnp.where((taken <= 1).all(), chosen.value[pair].sum(), jnp.inf)
        row, column = best // len(second.value), best % len(second.value)
        new = jax.tree.map(lambda x, y: jnp.stack([x[row], y[column]]), first, second)
        is_better = value[best] < now
        return jax.tree.map(lambda x, y: x.at[pair].set(jnp.where(is_better, y, x[pair])), chosen, new), None

    pairs = jnp.tile(jnp.stack(jnp.triu_indices(len(choice), 1), axis=1), (EXCHANGES, 1))
    start = Options(choice, values[layers, choice], loads[layers, choice])
    return lax.scan(step, start, pairs)[0].number


def _worthwhile(values: jax.Array, loads: jax.Array, bounds: jax.Array) -> tuple[Options, jax.Array]:
    """The options of each layer that are worth a try, and the lowest bound of those that aren't."""

    def pick(x: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, index.reshape(*index.shape, *[1] * (x.ndim - 2)), axis=1)

    compared = _lowest(bounds, OPTIONS_COMPARED)
    values, loads = pick(values, compared.places), pick(loads, compared.places)
    kept = _lowest(jnp.where(_dominated(values, loads), jnp.inf, compared.numbers), OPTIONS_KEPT)
    value = jnp.where(kept.numbers < jnp.inf, pick(values, kept.places), jnp.inf)
    dropped = jnp.minimum(compared.next_lowest.min(), kept.next_lowest.min())
    return Options(pick(compared.places, kept.places), value, pick(loads, kept.places)), dropped


def _lowest(numbers: jax.Array, size: int) -> Lowest:
    """The `size` lowest, or all if there are no more."""
    everything, shape = numbers.shape[-1], numbers.shape
    if size >= everything:
        return Lowest(numbers, jnp.broadcast_to(jnp.arange(everything), shape), jnp.full(shape[:-1], jnp.inf))
    negative, index = lax.top_k(-numbers, size + 1)
    return Lowest(-negative[..., :size], index[..., :size], -negative[..., size])


def _dominated(value: jax.Array, loads: jax.Array) -> jax.Array:
    """Which points, along the last axis of `value`, have another as good in all: of equals, one before them."""
    points = jnp.concatenate([value[..., None], loads], axis=-1)
    as_good = (points[..., None, :, :] <= points[..., :, None, :]).all(-1)
    before = np.tri(value.shape[-1], k=-1, dtype=bool)
    return (as_good & (~jnp.swapaxes(as_good, -1, -2) | before)).any(-1)
