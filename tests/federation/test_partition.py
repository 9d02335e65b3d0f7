import inspect

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax import config
from halo_jax.federation.partition import PARTITIONS, dirichlet, iid, partition, shards, unequal

KEY = jax.random.key(0)
BALANCED = np.repeat(np.arange(10, dtype=np.int32), 200)


@st.composite
def deals(draw):
    """A name, labels, and options that there are enough images for."""
    num_clients, each = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    labels = draw(st.lists(st.integers(0, 5), min_size=num_clients * each, max_size=80))
    options = {
        "alpha": draw(st.sampled_from([1e-300, 1e-9, 1e-2, 0.5, 1.0, 100.0, 1e9])),
        "shards_per_client": each,
        "min_examples": each,
        "writers": np.array([*range(num_clients), *draw(st.lists(st.integers(0, 20), min_size=80))], np.int32),
    }
    options["writers"] = options["writers"][: len(labels)]
    key = jax.random.key(draw(st.integers(0, 1000)))
    return draw(st.sampled_from(sorted(PARTITIONS))), np.array(labels, np.int32), num_clients, key, options


def _hands(dealt) -> list[np.ndarray]:
    return [row[: int(count)] for row, count in zip(dealt.indices, dealt.num_examples, strict=True)]


def _entropy(dealt, labels) -> float:
    """Mean over clients of the entropy of their labels, in nats."""
    entropies = []
    for hand in _hands(dealt):
        shares = np.bincount(labels[hand]) / len(hand)
        entropies.append(-sum(p * np.log(p) for p in shares if p > 0))
    return float(np.mean(entropies))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(deals())
def test_every_image_once_and_well_formed(deal):
    name, labels, num_clients, key, options = deal
    dealt = partition(name, labels, num_clients, key=key, **options)
    assert dealt.indices.dtype == np.int32
    assert dealt.mask.dtype == np.bool_
    assert dealt.num_examples.dtype == np.int32
    assert dealt.indices.shape == dealt.mask.shape == (num_clients, dealt.num_examples.max())
    assert dealt.num_examples.shape == (num_clients,)
    np.testing.assert_array_equal(dealt.mask.sum(1), dealt.num_examples)
    assert (np.diff(dealt.mask.astype(int), axis=1) <= 0).all()  # padding is at the end only
    assert (dealt.indices[~dealt.mask] == 0).all()
    assert sorted(dealt.indices[dealt.mask]) == list(range(len(labels)))
    sizes = dealt.num_examples
    if name == "iid":
        assert sizes.max() - sizes.min() <= 1
    if name in ("dirichlet", "unequal"):
        assert sizes.min() >= options["min_examples"]
    if name == "shards":
        assert sizes.max() - sizes.min() <= options["shards_per_client"]


@settings(derandomize=True, deadline=None, max_examples=50)
@given(deals())
def test_same_key_same_deal(deal):
    name, labels, num_clients, key, options = deal
    first = partition(name, labels, num_clients, key=key, **options)
    again = partition(name, labels, num_clients, key=key, **options)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", PARTITIONS)
def test_other_key_other_deal(name):
    writers = np.arange(len(BALANCED)) // 20
    first, other = (partition(name, BALANCED, 10, key=jax.random.key(seed), writers=writers) for seed in (0, 1))
    assert [set(hand) for hand in _hands(first)] != [set(hand) for hand in _hands(other)]


def test_alpha_orders_the_skew():
    skews = [_entropy(dirichlet(BALANCED, 10, key=KEY, alpha=alpha), BALANCED) for alpha in (0.01, 0.1, 1, 10, 1000)]
    assert skews == sorted(skews)
    assert skews[0] < 0.3
    assert skews[-1] > np.log(10) - 0.01
    assert _entropy(iid(BALANCED, 10, key=KEY), BALANCED) > np.log(10) - 0.05


def test_shares_have_the_variance_of_a_dirichlet():
    """Of one class, a client's share has mean 1/N and variance (1/N)(1 - 1/N) / (N alpha + 1)."""
    labels, num_clients, alpha = np.zeros(1000, np.int32), 4, 0.5
    keys = jax.random.split(KEY, 400)
    shares = [dirichlet(labels, num_clients, key=key, alpha=alpha).num_examples / 1000 for key in keys]
    np.testing.assert_allclose(np.mean(shares, 0), 0.25, atol=0.04)
    np.testing.assert_allclose(np.var(shares), 0.25 * 0.75 / (num_clients * alpha + 1), rtol=0.1)


def _expected_entropy(alpha: float, num_clients: int, classes: int, deals: int) -> float:
    """The mean entropy of a client's labels if every class is dealt by Dirichlet(alpha), by Monte Carlo: gammas."""
    rng = np.random.default_rng(5)
    gammas = rng.standard_gamma(alpha, (deals, classes, num_clients)) + 1e-300
    held = gammas / gammas.sum(axis=2, keepdims=True)  # the share of each class that a client holds
    mixed = held / held.sum(axis=1, keepdims=True)  # the share of each class in what a client holds
    return float(-(mixed * np.log(mixed + 1e-300)).sum(axis=1).mean())


@pytest.mark.parametrize("alpha", [0.1, 0.3, 1.0, 10.0])
def test_alpha_is_honoured(alpha):
    """A client's mean label entropy, and sum_n share_n^2 of a class, whose mean is (1 + alpha) / (1 + N alpha)."""
    num_clients, labels = 10, np.repeat(np.arange(10, dtype=np.int32), 1000)
    deals = [dirichlet(labels, num_clients, key=key, alpha=alpha) for key in jax.random.split(KEY, 12)]
    entropy = np.mean([_entropy(deal, labels) for deal in deals])
    assert entropy == pytest.approx(_expected_entropy(alpha, num_clients, 10, 4000), abs=0.05)
    held = np.array([[np.bincount(labels[hand], minlength=10) for hand in _hands(deal)] for deal in deals]) / 1000
    squares = (1 + alpha) / (1 + num_clients * alpha)
    assert (held**2).sum(axis=1).mean() == pytest.approx(squares, rel=0.07)


@pytest.mark.parametrize("name", ["dirichlet", "unequal"])
@pytest.mark.parametrize("alpha", [5e-324, 1e-6, 1e6])
def test_extreme_alphas_end_with_enough_for_everybody(name, alpha):
    sizes = partition(name, BALANCED, 20, key=KEY, alpha=alpha, min_examples=7).num_examples
    assert sizes.min() == 7 if alpha < 1 else sizes.min() > 90
    assert sizes.sum() == len(BALANCED)


def test_unequal_sizes_have_the_spread_of_a_dirichlet_and_labels_of_iid():
    num_clients, alpha = 5, 2.0
    deals = [unequal(BALANCED, num_clients, key=key, alpha=alpha) for key in jax.random.split(KEY, 300)]
    shares = np.array([deal.num_examples for deal in deals]) / len(BALANCED)
    assert (shares**2).sum(axis=1).mean() == pytest.approx((1 + alpha) / (1 + num_clients * alpha), rel=0.05)
    large = [hand for deal in deals[:20] for hand in _hands(deal) if len(hand) > 400]
    counts = np.stack([np.bincount(BALANCED[hand], minlength=10) / len(hand) for hand in large])
    assert np.abs(counts - 0.1).max() < 0.06


def test_a_writers_images_lie_at_one_client_and_clients_have_equally_many_writers():
    rng = np.random.default_rng(0)
    people = rng.choice([3, 5, 8, 13, 21, 34, 55], len(BALANCED), p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    dealt = partition("writers", BALANCED, 3, key=KEY, writers=people)
    of_client = [set(people[hand]) for hand in _hands(dealt)]
    assert sorted(map(len, of_client)) == [2, 2, 3]
    assert set.union(*of_client) == set(people)  # and none twice, as there are seven


def test_min_examples_takes_from_the_largest_alone():
    free = dirichlet(BALANCED, 20, key=KEY, alpha=0.05).num_examples
    level = dirichlet(BALANCED, 20, key=KEY, alpha=0.05, min_examples=60).num_examples
    assert free.min() < 60 == level.min()
    unchanged = (free >= 60) & (free <= level.max())
    assert unchanged.any()
    np.testing.assert_array_equal(level[unchanged], free[unchanged])
    moved = dirichlet(BALANCED, 20, key=KEY, alpha=1e-9, min_examples=100)  # as many as there are
    np.testing.assert_array_equal(moved.num_examples, 100)


def test_images_that_are_moved_are_of_any_class():
    dealt = dirichlet(BALANCED, 2, key=KEY, alpha=1e-9, min_examples=900)
    counts = np.stack([np.bincount(BALANCED[hand], minlength=10) for hand in _hands(dealt)])
    classes_held_by_both = (counts > 0).all(0).sum()
    assert classes_held_by_both >= 3  # taking the end of a sorted hand would split few classes


def test_shards_limit_the_classes_of_a_client():
    dealt = shards(BALANCED, 10, key=KEY, shards_per_client=2)
    classes = [len(np.unique(BALANCED[hand])) for hand in _hands(dealt)]
    assert max(classes) == 2  # 20 shards of 100, each of one class
    wide = shards(BALANCED, 10, key=KEY, shards_per_client=8)
    assert _entropy(wide, BALANCED) > _entropy(dealt, BALANCED)


@pytest.mark.parametrize(
    ("name", "num_clients", "options", "message"),
    [
        ("iid", 6, {}, "6 clients need at least 1 each of 5 images; allowed: at most 5 clients"),
        (
            "dirichlet",
            2,
            {"min_examples": 3},
            "2 clients need at least 3 each of 5 images; allowed: at most 1",
        ),
        ("shards", 3, {}, "3 clients need at least 2 each of 5 images; allowed: at most 2 clients"),
        ("iid", 0, {}, "0 clients with at least 1 images; allowed: 1 or more of both"),
        ("shards", 2, {"shards_per_client": 0}, "2 clients with at least 0 images; allowed: 1 or more"),
        ("even", 2, {}, "partition 'even' is unknown; known: iid, dirichlet, shards, writers, unequal"),
        ("unequal", 2, {"min_examples": 3}, "2 clients need at least 3 each of 5 images; allowed: at most 1"),
        ("writers", 2, {}, "the data set does not say who wrote an image; allowed: one with train_writers"),
        ("writers", 3, {"writers": np.array([4, 9, 4, 4, 9])}, "3 clients for 2 writers; allowed: at most one client"),
    ],
)
def test_impossible_deals_are_one_line(name, num_clients, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        partition(name, np.zeros(5, np.int32), num_clients, key=KEY, **options)
    assert "\n" not in str(caught.value)


def test_a_deal_too_skewed_to_be_padded_is_refused(monkeypatch):
    monkeypatch.setattr("halo_jax.federation.partition.MAX_PADDED", 2000)
    assert iid(BALANCED, 20, key=KEY).indices.size == 2000
    with pytest.raises(ValueError, match=r"20 clients padded to the \d+ images of the largest; allowed: at most 2000"):
        dirichlet(BALANCED, 20, key=KEY, alpha=0.05)


def test_config_fields_are_the_keywords_with_the_same_defaults():
    fields = config.default().partition
    parameters = inspect.signature(partition).parameters
    assert set(fields) <= set(parameters)
    assert {name: parameters[name].default for name in fields if name != "name"} == {
        name: value for name, value in fields.items() if name != "name"
    }
    assert partition(labels=BALANCED, num_clients=4, key=KEY, **fields).num_examples.sum() == 2000
