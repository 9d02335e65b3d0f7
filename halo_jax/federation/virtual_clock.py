"""The virtual clock and the energy meter: how long a client's round takes, what it spends, and whether it is in time.

A client receives the model over its link, trains on its images, and sends what it has learned:

    seconds = down_bits / down_rate + latency_s x samples + up_bits / up_rate,    joule = energy_mj x samples / 1000,

with the cost model's latency and energy of one training sample, samples = images x local epochs, and messages as they
are packed, in whole bytes. A round takes as long as its slowest client, or the deadline if a client misses it; that
client is dropped. A client whose battery cannot pay for the round sits it out. Only training is priced in energy: radio
is not, since no source says what a bit costs here.

Every quantity is data, so that links, deadlines and batteries compile nothing, and every number has the same bits in
any program: costs have, and a product is rounded before it is added to anything.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.numerics.rounding import rounded
from halo_jax.types import Cost, Stream, stream

_BITS_PER_MEGABIT = 1e6
_DRAW_BITS = 16


class Clock(NamedTuple):
    """What a client's time and energy depend on, beside its precision: one client's, or stacked `[N]`."""

    samples: Any  # int32, that it trains on in a round: images x local epochs
    up_bits_per_s: Any  # float32, inf for a link that takes no time
    down_bits_per_s: Any
    jitter: Any  # relative standard deviation of both rates from round to round
    deadline_s: Any  # the same for all; inf where there is none
    battery_joule: Any  # when full; inf where there is none


class Lap(NamedTuple):
    """One client's part in a round; times are those that it would need, also where a deadline cuts them off."""

    download_s: jax.Array  # all float32
    compute_s: jax.Array
    upload_s: jax.Array
    energy_joule: jax.Array  # spent until its end, or until the deadline
    started: jax.Array  # bool: its battery could pay for the round; if not, times and energy are 0
    participated: jax.Array  # bool: it started and was in time


def make_clock(
    samples: np.ndarray,
    up_mbps: Sequence[float] = (),
    down_mbps: Sequence[float] = (),
    jitter: float = 0.0,
    deadline_s: float = 0.0,
    battery_joule: Sequence[float] = (),
) -> Clock:
    """The clocks of all clients `[N]`; a sequence has one number for all or one for each, and none means no limit.

    Args:
      samples: int `[N]`, what each client trains on in a round: images x local epochs.
      up_mbps: rates of the links to the server, 10^6 bits a second.
      down_mbps: rates of the links from the server.
      jitter: relative standard deviation of both rates from round to round, 0 to 0.5.
      deadline_s: when the server stops waiting; 0 for never.
      battery_joule: what each client's battery holds when full.
    """

    def for_each(values: Sequence[float], factor: float = 1.0) -> jax.Array:
        scaled = np.array(values or (math.inf,), np.float64) * factor
        return jnp.asarray(np.broadcast_to(scaled.astype(np.float32), len(samples)))

    return Clock(
        samples=jnp.asarray(samples, jnp.int32),
        up_bits_per_s=for_each(up_mbps, _BITS_PER_MEGABIT),
        down_bits_per_s=for_each(down_mbps, _BITS_PER_MEGABIT),
        jitter=for_each((jitter,)),
        deadline_s=for_each((deadline_s or math.inf,)),
        battery_joule=for_each(battery_joule),
    )


def lap(
    client: jax.Array,
    clock: Clock,
    spent_joule: jax.Array,
    cost: Cost,
    down_bits: jax.Array,
    up_bits: jax.Array,
    key: jax.Array,
    round: jax.Array,
) -> Lap:
    """Time one client's round, by the formula above.

    # Choice: a client that misses the deadline stops there; it has spent the share of its training that was done.

    Args:
      client: its id, int32 `[]`.
      clock: its links, its battery, and how many samples it trains on.
      spent_joule: what it had taken from its battery before the round, float32 `[]`.
      cost: of training on one sample at its precision, float32 `[]` each.
      down_bits: what it is sent, as packed, int32 `[]`.
      up_bits: what it sends, as packed, int32 `[]`.
      key: the run's key; the jitter of its link has a stream of its own.
      round: rounds done before this one, int32 `[]`.
    """

    def or_nothing(value: jax.Array) -> jax.Array:
        return jnp.where(started, value, 0.0)

    down_rate, up_rate = _rates(clock, stream(key, Stream.LINK, round, client))
    samples = clock.samples.astype(jnp.float32)
    compute, needed = rounded(cost.latency_s * samples), rounded(rounded(cost.energy_mj * samples) * 1e-3)
    started = spent_joule + needed <= clock.battery_joule
    download, upload = down_bits / down_rate, up_bits / up_rate
    in_time = total_s(download, compute, upload) <= clock.deadline_s
    trained = jnp.where(compute > 0, jnp.clip((clock.deadline_s - download) / compute, 0, 1), 1)
    spent = jnp.where(in_time, needed, needed * trained)
    return Lap(
        download_s=or_nothing(download),
        compute_s=or_nothing(compute),
        upload_s=or_nothing(upload),
        energy_joule=or_nothing(rounded(spent)),
        started=started,
        participated=started & in_time,
    )


def total_s(download_s: Any, compute_s: Any, upload_s: Any) -> Any:
    """The seconds of all parts of a lap, added in this order."""
    return (download_s + compute_s) + upload_s


def round_s(laps: Lap, deadline_s: jax.Array) -> jax.Array:
    """How long the server waits for the laps `[C]`, float32 `[]`: for the slowest, at most until the deadline."""
    seconds = total_s(laps.download_s, laps.compute_s, laps.upload_s)
    return jnp.max(jnp.minimum(seconds, deadline_s), initial=0.0)


def _rates(clock: Clock, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The round's rates down and up.

    # Choice: each is uniform within sqrt(3) standard deviations of its mean, so that no link stands still.
    """
    draws = jax.random.bits(key, (2,), jnp.uint32) >> (32 - _DRAW_BITS)
    width = rounded(math.sqrt(3) * clock.jitter)
    share = (2 * draws.astype(jnp.float32) + 1) * 2.0**-_DRAW_BITS  # in (0, 2), 1 on average
    down, up = (1 - width) + rounded(share * width)
    return clock.down_bits_per_s * down, clock.up_bits_per_s * up
