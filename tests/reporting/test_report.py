"""The table's numbers against means computed by hand."""

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from halo_jax.records import run_folder
from halo_jax.reporting import arm_table
from halo_jax.types import Precision
from tests.record_fixture import cost, write_run, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"), rounds=20)


@pytest.fixture(scope="module")
def rows(runs):
    return {row.arm: row for row in arm_table.table(runs)}


def traced_cost(*stretches) -> np.ndarray:
    """The mean cost over (rounds, precision) stretches, without looking at records."""
    rounds = np.array([count for count, _ in stretches])
    costs = np.array([cost(Precision.parse(text)) for _, text in stretches])
    return rounds @ costs / rounds.sum()


def numbers(row) -> np.ndarray:
    return np.array([row.energy_mj, row.latency_s, row.area_mm2])


# The fixture reduces after 35 % and 70 % of 20 rounds: 7 rounds, 7 rounds, 6 rounds.
ENERGY = traced_cost((7, "8-8-8"), (7, "8-8-6"), (6, "8-8-4"))
LATENCY = traced_cost((7, "8-8-8"), (7, "8-6-8"), (6, "8-4-8"))
AREA = traced_cost((7, "8-8-8"), (7, "6-8-8"), (6, "4-8-8"))


def test_rows_stand_in_the_order_of_the_paper(rows):
    assert list(rows) == [
        "8-8-8",
        "HaLo-FL (mean of groups)",
        "HaLo-FL (mean of clients)",
        "HaLo-FL-E",
        "HaLo-FL-L",
        "HaLo-FL-A",
        "2-4-4",
    ]


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("8-8-8", cost(Precision(8, 8, 8))),
        ("2-4-4", cost(Precision(2, 4, 4))),
        ("HaLo-FL-E", ENERGY),
        ("HaLo-FL-L", LATENCY),
        ("HaLo-FL-A", AREA),
        ("HaLo-FL (mean of groups)", (ENERGY + LATENCY + AREA) / 3),
        ("HaLo-FL (mean of clients)", (7 * ENERGY + 7 * LATENCY + 6 * AREA) / 20),
    ],
)
def test_costs_are_the_means_of_the_rounds(rows, arm, expected):
    np.testing.assert_allclose(numbers(rows[arm]), expected, rtol=1e-12)


def test_payload_is_per_client_and_round_in_kilobytes(rows):
    assert rows["8-8-8"].payload_up_kilobytes == pytest.approx(92.0)  # 92,000 weights of 8 bits
    assert rows["2-4-4"].payload_up_kilobytes == pytest.approx(23.0)
    assert rows["2-4-4"].payload_down_kilobytes == pytest.approx(92.0)
    assert rows["HaLo-FL-A"].payload_up_kilobytes == pytest.approx(92 * (7 * 8 + 7 * 6 + 6 * 4) / 160)


def test_changes_are_against_the_first_static_arm(rows):
    row = rows["2-4-4"]
    assert row.latency_change_percent == pytest.approx(-50)
    assert row.payload_up_change_percent == pytest.approx(-75)
    assert row.payload_down_change_percent == pytest.approx(0)
    assert row.area_change_percent == pytest.approx(100 * (row.area_mm2 / 935.86 - 1))
    assert rows["8-8-8"][8:13] == (None,) * 5


def test_first_static_arm_is_the_base_wherever_it_stands(runs):
    order = ("halo_ps", "2-4-4", "8-8-8")
    rows = {row.arm: row for row in arm_table.table({arm: runs[arm] for arm in order})}
    assert rows["2-4-4"].latency_change_percent is None
    assert rows["8-8-8"].latency_change_percent == pytest.approx(100)
    assert rows["HaLo-FL-E"].payload_up_change_percent == pytest.approx(300)


def test_an_arm_of_one_precision_is_the_base_before_any_compressor(runs):
    rows = arm_table.table({"qsgd": runs["2-4-4"], "8-8-8": runs["8-8-8"]})
    assert [row.latency_change_percent for row in rows] == [pytest.approx(-50), None]
    (rival, *_) = arm_table.table({"qsgd": runs["2-4-4"], "halo_ps": runs["halo_ps"]})
    assert rival.latency_change_percent is None


def test_accuracy_is_that_of_the_last_evaluated_round(tmp_path, rows):
    run = write_run(tmp_path / "run", rounds=5, eval_every=2)
    (mean, *_) = arm_table.table({"halo_ps": run})
    assert mean.accuracy_percent == 100 * run.rounds["accuracy"][-1]
    falling = np.array([0.5, 0.9, np.nan, 0.7, np.nan])
    (mean, *_) = arm_table.table({"halo_ps": run._replace(rounds={**run.rounds, "accuracy": falling})})
    assert mean.accuracy_percent == pytest.approx(70)
    unfinished = run._replace(rounds={name: column[:3] for name, column in run.rounds.items()}, summary={})
    (mean, *_) = arm_table.table({"halo_ps": unfinished})
    assert mean.accuracy_percent == 100 * run.rounds["accuracy"][1]
    assert rows["HaLo-FL-E"].accuracy_percent == rows["HaLo-FL-A"].accuracy_percent


def test_only_the_groups_that_are_present(runs):
    run = runs["halo_ps"]
    keep = run.clients["constraint"] == "energy"
    alone = run._replace(clients={name: column[keep] for name, column in run.clients.items()})
    labels = [row.arm for row in arm_table.table({"random": alone})]
    assert labels == ["random (mean of groups)", "random (mean of clients)", "random-E"]
    assert arm_table.table({"random": alone})[0].energy_change_percent is None


def test_a_run_without_a_round_has_no_row(tmp_path, runs):
    run_folder.create(tmp_path / "run", runs["8-8-8"].config)
    empty = run_folder.read(tmp_path / "run")
    assert [row.arm for row in arm_table.table({"8-8-8": empty, "2-4-4": runs["2-4-4"]})] == ["2-4-4"]
    assert arm_table.table({"8-8-8": empty}) == []


def test_best_of_a_column_is_marked_and_a_column_of_equals_is_not(runs):
    cells = arm_table.cells(arm_table.table(runs))
    best = [[cell.best for cell in column] for column in zip(*cells, strict=True)]
    assert best[0] == [True] + [False] * 6
    assert best[2] == [False] * 6 + [True]
    assert not any(best[6])


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_table_shows_every_number_in_full(runs, width):
    console = Console(width=width, record=True, file=io.StringIO())
    rows = arm_table.table(runs)
    console.print(arm_table.render_rich(rows))
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.split("\n"))) <= width
    for cell in (cell for cells in arm_table.cells(rows) for cell in cells):
        assert cell.text in text
        assert cell.change in text
    for label in ("HaLo-FL-E", "Energy", "mm²", "kB"):
        assert label in text


def test_csv_reads_back_unrounded(tmp_path, runs):
    rows = arm_table.table(runs)
    arm_table.write_csv(rows, tmp_path / "table.csv")
    with open(tmp_path / "table.csv") as file:
        read = list(csv.DictReader(file))
    assert [float(line["energy_mj"]) for line in read] == [row.energy_mj for row in rows]
    assert read[0]["energy_change_percent"] == ""


def test_changes_are_between_runs_of_one_data_set_network_and_chip(runs):
    other = {**runs["2-4-4"].config, "dataset": "cifar10"}
    rows = arm_table.table(
        {"8-8-8": runs["8-8-8"], "2-4-4": runs["2-4-4"], "x/2-4-4": runs["2-4-4"]._replace(config=other)}
    )
    assert [row.energy_change_percent is None for row in rows] == [True, False, True]
