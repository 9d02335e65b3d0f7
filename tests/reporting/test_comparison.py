"""Runs of several seeds become one row for each arm; every number is checked by hand."""

import numpy as np
import pytest
from rich.console import Console

from halo_jax.records.run_folder import Run
from halo_jax.reporting import seed_rows, seed_table
from tests.toy_run import toy_config


def run_of(
    accuracies, up=8_000_000, down=16_000_000, clients=2, uploads=1, recipe="float32", bits=(8, 8), **fields
) -> Run:
    """A run whose clients see 10 images thrice a round at 2 mJ each, in 7 s, and send 1 MB up for 2 MB down."""
    config = toy_config().to_dict()
    config["recipe"]["name"], config["local_epochs"] = recipe, 3
    config.update(fields)
    rounds = len(accuracies)
    rows = {"payload_up_bits": up, "payload_up_nominal_bits": up // 2, "payload_up_entropy_bits": up // 4}
    rows |= {"payload_down_bits": down, "uploads": uploads, "examples": 10, "energy_mj": 2.0, "errors_bits": 8}
    table = {name: np.full(rounds * clients, value) for name, value in (rows | {"activations_bits": 8}).items()}
    table["weights_bits"] = np.tile(bits, rounds)
    table |= {"latency_s": np.tile([1.0, 4.0], rounds)[: rounds * clients], "area_mm2": table["energy_mj"] * 5}
    totals = {"virtual_seconds": np.full(rounds, 7.0), "energy_joule": np.full(rounds, clients * 10 * 3 * 2 / 1000)}
    totals |= {"payload_up_bits": np.full(rounds, up * clients), "payload_down_bits": np.full(rounds, down * clients)}
    top5 = np.minimum(1, np.array(accuracies) + 0.125)
    return Run(config, {"accuracy": np.array(accuracies), "top5_accuracy": top5, **totals}, table, {})


def test_an_arms_row_is_the_mean_over_seeds():
    runs = {
        "seed_0/terngrad": run_of([0.2, 0.6, 0.8], paper="table4"),
        "seed_3/terngrad": run_of([0.1, 0.2, 0.7], paper="table4"),
    }
    (row,) = seed_rows.rows(runs, target_percent=60, paper="table4")
    assert (row.arm, row.seeds, row.quantised_training, row.own_bits) == ("terngrad", 2, "", "")
    assert row.accuracy_percent == pytest.approx(75)
    assert row.accuracy_spread_percent == pytest.approx(50**0.5)
    assert (row.up_megabytes, row.up_nominal_megabytes, row.up_entropy_megabytes, row.down_megabytes) == (
        1,
        0.5,
        0.25,
        2,
    )
    assert (row.up_total_megabytes, row.total_megabytes) == (1 * 2 * 3, 3 * 2 * 3)
    assert row.target_megabytes == 6 * (2 + 3) / 2  # reached in rounds 2 and 3
    assert row.energy_joule == pytest.approx(3 * 2 * 10 * 3 * 2 / 1000)
    assert row.virtual_seconds == 7 * 3
    assert (row.target_seconds, row.target_joule) == (7 * (2 + 3) / 2, pytest.approx(0.12 * (2 + 3) / 2))
    assert row.top5_accuracy_percent == pytest.approx(100 * (0.925 + 0.825) / 2)
    assert (row.energy_mj, row.latency_s, row.area_mm2) == (2, 2.5, 10)
    assert row.paper_difference_points == pytest.approx(75 - 82.80)
    assert (row.uploads_percent, row.paper_accuracy_percent, row.paper_megabytes) == (100, 82.80, 6.0)


def test_low_precision_and_bits_of_their_own_are_said_and_a_target_counts_if_all_seeds_reach_it():
    runs = {
        "seed_0/halo_ps:recipe.name=wage": run_of([0.9], recipe="wage", bits=(8, 6)),
        "seed_0/laq": run_of([0.9], uploads=0),
        "seed_1/laq": run_of([0.3]),
    }
    ours, laq = seed_rows.rows(runs, target_percent=50)
    assert (ours.arm, ours.quantised_training, ours.own_bits) == ("HaLo-FL (recipe.name=wage)", "yes", "yes")
    assert (ours.accuracy_spread_percent, ours.target_megabytes, ours.paper_megabytes) == (None, 6.0, None)
    assert (laq.target_megabytes, laq.target_seconds, laq.target_joule, laq.uploads_percent) == (None, None, None, 50)


def test_changes_in_accuracy_are_from_the_first_arm_seed_by_seed():
    runs = {f"seed_{seed}/8-8-8": run_of([accuracy]) for seed, accuracy in ((0, 0.5), (1, 0.9))}
    runs |= {f"seed_{seed}/2-4-4": run_of([accuracy]) for seed, accuracy in ((0, 0.4), (1, 0.7), (2, 0.1))}
    runs |= {"seed_7/random": run_of([0.6]), "seed_1/halo_ps": run_of([0.8])}
    changes = [(row.change_points, row.change_spread_points) for row in seed_rows.rows(runs)]
    first, lower, elsewhere, once = changes
    assert first == elsewhere == (None, None)  # the first arm itself, and one that shares no seed with it
    assert lower == (pytest.approx(-15), pytest.approx(50**0.5))
    assert once == (pytest.approx(-10), None)


def test_the_table_fits_a_terminal_of_80_columns():
    arm = "halo_ps:recipe.name=wage,compressor.name=uniform"
    runs = {f"seed_{seed}/{arm}": run_of([0.4, 0.5]) for seed in (0, 1)}
    (row,) = seed_rows.rows(runs, 45, "table4")
    row = row._replace(change_points=-12.345, change_spread_points=12.345, accuracy_spread_percent=12.345)
    row = row._replace(arm=f"partition.alpha=0.1, rounds=20: {row.arm}", energy_joule=1234.5, total_megabytes=1234.5)
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(seed_table.render([row], seed_table.caption(45, "table4")))
    text = console.export_text()
    assert "50.00" in text
    assert "50.00 ± 12.3" in text
    assert "-12.35 ± 12.3" in text
    assert "…" not in text
    assert "-30.14" in text
    assert "to the goal of 45 %;" in " ".join(text.split())


def test_without_a_table_of_the_paper_nothing_of_it_is_shown():
    (row,) = seed_rows.rows({"seed_0/terngrad": run_of([0.5])})
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(seed_table.render([row], seed_table.caption()))
    assert (row.paper_accuracy_percent, row.paper_difference_points, row.paper_megabytes) == (None, None, None)
    assert "Paper" not in console.export_text()


def test_the_worst_client_is_the_mean_over_seeds_of_the_lowest():
    first, other = run_of([0.9]), run_of([0.9])
    known = [
        run._replace(summary={"client_accuracy": found}) for run, found in ((first, [0.9, 0.5]), (other, [None, 0.7]))
    ]
    rows = seed_rows.rows({"seed_0/laq": known[0], "seed_1/laq": known[1], "seed_0/lfl": first})
    assert rows[0].worst_client_accuracy_percent == pytest.approx(60)
    assert rows[1].worst_client_accuracy_percent is None  # of a folder that does not say
