"""The table of labels is right, short, and fits a terminal."""

import io

import jax
import numpy as np
import pytest
from rich.console import Console

from halo_jax.federation.partition import dirichlet
from halo_jax.records import label_counts
from halo_jax.reporting import label_table


def text_of(counts: np.ndarray) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=80).print(label_table.render(counts))
    return text.getvalue().splitlines()


def test_every_image_is_counted_at_its_client_and_class():
    truth = np.random.default_rng(0).integers(0, 6, 300).astype(np.int32)
    dealt = dirichlet(truth, 7, key=jax.random.key(0), alpha=0.3)
    counts = label_counts.count(truth, dealt.indices, dealt.mask, 8)  # two classes without images
    for n in range(7):
        held = truth[dealt.indices[n, : dealt.num_examples[n]]]
        assert counts[n].tolist() == [int((held == k).sum()) for k in range(8)]
    row = label_counts.rows(counts)[3]
    assert row._fields == ("client", "images", *(f"class_{k}" for k in range(8)))
    assert row == (3, dealt.num_examples[3], *counts[3])


def test_a_holding_is_a_client_in_short():
    (held,) = label_counts.holdings(np.array([[0, 3, 9, 0]]))
    assert held == (0, 12, 2, 2, 75.0)


@pytest.mark.parametrize(("clients", "classes"), [(20, 10), (1, 1)])
def test_a_small_table_is_shown_in_full(clients, classes):
    counts = np.random.default_rng(0).integers(10_000, 99_999, (clients, classes))
    lines = text_of(counts)
    assert [line.split() for line in lines if line.split()[:1] == ["0"]] == [
        ["0", f"{counts[0].sum()}", *map(str, counts[0])]
    ]
    assert sum(line.strip()[:1].isdigit() for line in lines) == clients


@pytest.mark.parametrize(("clients", "classes", "shown"), [(100, 47, 20), (5, 200, 5)])
def test_a_large_table_is_shown_in_short(clients, classes, shown):
    counts = np.random.default_rng(0).integers(0, 9, (clients, classes))
    lines = text_of(counts)
    rows = [line.split() for line in lines if len(line.split()) == 5 and line.split()[1].isdecimal()]
    assert len(rows) == shown
    assert rows[1][1:4] == [str(number) for number in label_counts.holdings(counts)[1][1:4]]
    assert any("80 more clients in labels.csv" in line for line in lines) == (clients > shown)


def test_a_clients_accuracy_is_that_of_its_own_mix_of_labels():
    test_labels = np.repeat([0, 1, 3], [4, 10, 5])
    accuracy = label_counts.class_accuracy(np.array([1, 10, 0, 2]), test_labels)
    np.testing.assert_array_equal(accuracy, [0.25, 1, np.nan, 0.4])
    counts = np.array([[8, 0, 0, 0], [1, 1, 0, 0], [0, 3, 50, 1], [0, 0, 9, 0]])
    expected = [0.25, 0.625, (3 + 0.4) / 4, np.nan]  # the third class is not tested
    np.testing.assert_allclose(label_counts.client_accuracy(counts, accuracy), expected)


def test_a_client_that_holds_what_is_tested_gets_the_accuracy():
    test_labels = np.repeat(np.arange(3), [20, 30, 50])
    right = np.array([10, 25, 30])
    (accuracy,) = label_counts.client_accuracy(np.array([[2, 3, 5]]), label_counts.class_accuracy(right, test_labels))
    assert accuracy == pytest.approx(0.65)
