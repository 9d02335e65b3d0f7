"""Who holds which images: index maps over the one resident array.

Dealing runs once, on the host, in numpy. Its result is data: any partition with the same N and M runs the
same compiled round. The draws of every partition come from the `Stream.PARTITION` of the experiment's key, so one seed
governs all. A way of dealing takes the keywords that it needs and passes over the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import numpy as np

from halo_jax.types import Stream, stream

MAX_PADDED = 2**31 - 1  # places for images over all clients, 5 bytes each


class Partition(NamedTuple):
    """The images of each client, padded to the largest: client n holds `indices[n, :num_examples[n]]`."""

    indices: np.ndarray  # int32 [N, M] into the training images; 0 where padded
    mask: np.ndarray  # bool [N, M], False where padded
    num_examples: np.ndarray  # int32 [N], the sum of the mask: the weights of the paper's Eq. 1


def iid(labels: np.ndarray, num_clients: int, *, key: jax.Array, **_: object) -> Partition:
    """Deal a shuffled deck: every image once, sizes equal up to one.

    Args:
      labels: int `[D]`, of the training images.
      num_clients: N, 1 to D.
      key: the experiment's.

    Raises:
      ValueError: there are fewer images than clients; one line.
    """
    _check(labels, num_clients, 1)
    return _pack(np.array_split(_generator(key).permutation(len(labels)), num_clients))


def dirichlet(
    labels: np.ndarray, num_clients: int, *, key: jax.Array, alpha: float, min_examples: int = 1, **_: object
) -> Partition:
    """Deal each class in proportions drawn from a symmetric Dirichlet(alpha): every image once.

    Source: Yurochkin et al., "Bayesian nonparametric federated learning of neural networks", ICML 2019.

    Args:
      labels: int `[D]`, of the training images.
      num_clients: N, at least 1.
      key: the experiment's.
      alpha: above 0; the smaller, the fewer classes a client holds; a large one tends to IID.
      min_examples: what each client gets at least, 1 or more.

    Raises:
      ValueError: there are too few images for that; one line.
    """
    _check(labels, num_clients, min_examples)
    rng = _generator(key)
    hands: list[list[int]] = [[] for _ in range(num_clients)]
    for label in np.unique(labels):
        images = rng.permutation(np.flatnonzero(labels == label))
        for hand, share in zip(hands, _split(images, num_clients, alpha, rng), strict=True):
            hand.extend(share)
    # Choice: the source draws again until every client has enough, which may never end. We draw once, then
    # move random images from the largest client to the smallest.
    return _pack(_level([rng.permutation(hand) for hand in hands], min_examples))


def shards(
    labels: np.ndarray, num_clients: int, *, key: jax.Array, shards_per_client: int = 2, **_: object
) -> Partition:
    """Sort by label, cut into equal shards (up to one image), deal some to each client: every image once.

    Source: McMahan et al., "Communication-efficient learning of deep networks from decentralized data", AISTATS 2017,
    section 3.

    Args:
      labels: int `[D]`, of the training images.
      num_clients: N, at least 1.
      key: the experiment's.
      shards_per_client: how many each client gets, 1 or more; it sees about as many classes.

    Raises:
      ValueError: there are fewer images than shards; one line.
    """
    _check(labels, num_clients, shards_per_client)
    rng = _generator(key)
    shuffled = rng.permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    deck = np.array_split(by_label, num_clients * shards_per_client)
    dealt = rng.permutation(len(deck)).reshape(num_clients, shards_per_client)
    return _pack([np.concatenate([deck[shard] for shard in hand]) for hand in dealt])


def writers(
    labels: np.ndarray, num_clients: int, *, key: jax.Array, writers: np.ndarray | None = None, **_: object
) -> Partition:
    """Deal writers, not images: all images of a writer lie at one client; every image once.

    Clients have equal numbers of writers, up to one, thus as many images as those wrote. Source: Caldas et al.,
    "LEAF: a benchmark for federated settings", 2018, where a client is one writer.

    Args:
      labels: int `[D]`, of the training images.
      num_clients: N, 1 to the number of writers.
      key: the experiment's.
      writers: int `[D]`, who wrote each image; None where nobody knows.

    Raises:
      ValueError: nobody knows who wrote an image, or there are fewer writers than clients; one line.
    """
    _check(labels, num_clients, 1)
    if writers is None:
        raise ValueError("the data set does not say who wrote an image; allowed: one with train_writers, or another")
    chex.assert_shape(writers, labels.shape)
    people, of_image = np.unique(writers, return_inverse=True)
    if num_clients > len(people):
        raise ValueError(f"{num_clients} clients for {len(people)} writers; allowed: at most one client a writer")
    # Choice: equal in writers, not levelled in images: people who write more are part of what makes clients differ.
    deck = np.array_split(_generator(key).permutation(len(people)), num_clients)
    return _pack([np.flatnonzero(np.isin(of_image, hand)) for hand in deck])


def unequal(
    labels: np.ndarray, num_clients: int, *, key: jax.Array, alpha: float, min_examples: int = 1, **_: object
) -> Partition:
    """Deal a shuffled deck in shares drawn from a symmetric Dirichlet(alpha): labels IID, sizes not; every image once.

    Args:
      labels: int `[D]`, of the training images.
      num_clients: N, at least 1.
      key: the experiment's.
      alpha: above 0; the smaller, the more one client holds of all; a large one tends to IID.
      min_examples: what each client gets at least, 1 or more; who has fewer gets images of the largest client.

    Raises:
      ValueError: there are too few images for that; one line.
    """
    _check(labels, num_clients, min_examples)
    rng = _generator(key)
    return _pack(_level(_split(rng.permutation(len(labels)), num_clients, alpha, rng), min_examples))


PARTITIONS = {"iid": iid, "dirichlet": dirichlet, "shards": shards, "writers": writers, "unequal": unequal}


def partition(
    name: str,
    labels: np.ndarray,
    num_clients: int,
    *,
    key: jax.Array,
    writers: np.ndarray | None = None,
    alpha: float = 0.5,
    shards_per_client: int = 2,
    min_examples: int = 1,
) -> Partition:
    """Deal by `PARTITIONS[name]`; each way of dealing takes its own of the last three, the config's `partition.*`.

    Args:
      name: one of PARTITIONS.
      labels: int `[D]`, of the training images.
      num_clients: N, at least 1.
      key: the experiment's.
      writers: int `[D]`, who wrote each image; None where nobody knows.
      alpha: of a symmetric Dirichlet distribution, above 0.
      shards_per_client: label-sorted shards for each client, 1 or more.
      min_examples: images for each client, at least, 1 or more.

    Raises:
      ValueError: an unknown name, too few images, or no writers; one line.
    """
    if name not in PARTITIONS:
        raise ValueError(f"partition {name!r} is unknown; known: {', '.join(PARTITIONS)}")
    options = {"alpha": alpha, "shards_per_client": shards_per_client, "min_examples": min_examples}
    return PARTITIONS[name](labels, num_clients, key=key, writers=writers, **options)


def _check(labels: np.ndarray, num_clients: int, least: int) -> None:
    chex.assert_rank(labels, 1)
    if num_clients < 1 or least < 1:
        raise ValueError(f"{num_clients} clients with at least {least} images; allowed: 1 or more of both")
    if num_clients * least > len(labels):
        raise ValueError(
            f"{num_clients} clients need at least {least} each of {len(labels)} images; "
            f"allowed: at most {max(len(labels) // least, 1)} clients, or {max(len(labels) // num_clients, 1)} each"
        )


def _generator(key: jax.Array) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(stream(key, Stream.PARTITION))))


def _split(images: np.ndarray, num_clients: int, alpha: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Cut `images` into a part for each client, in proportions drawn from a symmetric Dirichlet(alpha)."""
    shares = rng.dirichlet(np.full(num_clients, alpha))
    return np.split(images, np.round(np.cumsum(shares)[:-1] * len(images)).astype(int))


def _level(hands: Sequence[np.ndarray], min_examples: int) -> list[list[int]]:
    """Move last images from the largest hand to the smallest until each has `min_examples`.

    Ends after at most N * min_examples moves: while one hand is short, the largest is above the mean, thus
    above the minimum, so no move makes a new short hand.
    """
    lists = [list(hand) for hand in hands]
    sizes = np.array([len(hand) for hand in lists])
    while sizes.min() < min_examples:
        smallest, largest = sizes.argmin(), sizes.argmax()
        lists[smallest].append(lists[largest].pop())
        sizes[smallest] += 1
        sizes[largest] -= 1
    return lists


def _pack(hands: Sequence[Sequence[int] | np.ndarray]) -> Partition:
    num_examples = np.array([len(hand) for hand in hands], np.int32)
    if len(hands) * int(num_examples.max()) > MAX_PADDED:
        raise ValueError(
            f"{len(hands)} clients padded to the {num_examples.max()} images of the largest; "
            f"allowed: at most {MAX_PADDED} places for images, thus fewer clients or parts less skewed"
        )
    mask = np.arange(num_examples.max()) < num_examples[:, None]
    indices = np.zeros(mask.shape, np.int32)
    indices[mask] = np.concatenate(hands)
    return Partition(indices, mask, num_examples)
