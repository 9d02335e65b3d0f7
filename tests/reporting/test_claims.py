"""The paper's Table II as changes from 8-8-8, by hand, and the same of runs that were made up."""

import numpy as np
import pytest
from rich.console import Console

from halo_jax import paper
from halo_jax.reporting import paper_claims
from halo_jax.types import Precision
from tests.record_fixture import cost, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"), rounds=20)


def of(found, row, metric):
    (claim,) = [claim for claim in found if (claim.row, claim.metric) == (row, metric)]
    return claim


def test_the_papers_headline_comes_out_of_its_table(runs):
    headline = [("HaLo-FL-E", "energy_percent"), ("HaLo-FL-L", "latency_percent"), ("HaLo-FL-A", "area_percent")]
    found = paper_claims.claims([runs], "cifar10")
    assert [int(of(found, *claim).paper) for claim in headline] == [-36, -22, -22]
    assert of(found, "HaLo-FL", "accuracy_points").paper == pytest.approx(80.14 - 80.20)
    assert of(found, "HaLo-FL-A", "density_ratio").paper == pytest.approx(1070.93 / 834.21)


def test_our_side_is_the_change_from_8_8_8_of_the_same_run(runs):
    found = paper_claims.claims([runs], "emnist")
    low, high = (np.array(cost(Precision.parse(bits))) for bits in ("2-4-4", "8-8-8"))
    changes = 100 * (low / high - 1)
    metrics = ("energy_percent", "latency_percent", "area_percent")
    assert [of(found, "2-4-4", metric).ours for metric in metrics] == pytest.approx(changes.tolist())
    assert of(found, "2-4-4", "density_ratio").ours == pytest.approx(high[1] * high[2] / (low[1] * low[2]))
    points = 100 * (runs["2-4-4"].rounds["accuracy"][-1] - runs["8-8-8"].rounds["accuracy"][-1])
    assert of(found, "2-4-4", "accuracy_points").ours == pytest.approx(points)
    assert all(claim.difference == claim.ours - claim.paper and claim.spread is None for claim in found)
    assert {claim.row for claim in found} == set(paper.TABLE2["emnist"]) - {"8-8-8"}


def test_seeds_are_averaged_with_their_spread(runs):
    other = {
        arm: run._replace(rounds={**run.rounds, "accuracy": run.rounds["accuracy"] / 2}) for arm, run in runs.items()
    }
    one, two = paper_claims.claims([runs], "emnist"), paper_claims.claims([runs, other], "emnist")
    first, both = (of(found, "HaLo-FL", "accuracy_points") for found in (one, two))
    assert both.seeds == 2
    assert both.ours == pytest.approx(0.75 * first.ours)
    assert both.spread == pytest.approx(abs(first.ours) / 2 / np.sqrt(2))


def test_without_8_8_8_nothing_is_claimed(runs):
    assert paper_claims.claims([{"2-4-4": runs["2-4-4"]}], "emnist") == []


@pytest.mark.parametrize(
    ("dataset", "like"),
    [("cifar10", "cifar10"), ("emnist/letters", "emnist"), ("fashion_mnist", "emnist"), ("digits", "cifar10")],
)
def test_other_data_stand_beside_the_most_like(dataset, like):
    assert paper_claims.nearest(dataset) == like


def test_the_table_fits_80_columns(runs):
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(paper_claims.render(paper_claims.claims([runs, runs], "fashion_mnist"), "fashion_mnist"))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "(-36.5)" in text  # EMNIST: 0.80 / 1.26
    assert "-0.0\n" not in text
    assert "emnist" in text
