"""Numbers of the paper stand beside the arms that they are about, and nowhere else."""

import pytest

from halo_jax.paper import NOTES, TABLE2, Printed, printed
from tests.toy_run import toy_config


def config_of(dataset="cifar10", recipe="wage", selector="halo_ps", start="8-8-8", **noise):
    config = toy_config(dataset=dataset).to_dict()
    config["recipe"]["name"], config["selector"]["name"], config["selector"]["start"] = recipe, selector, start
    config["noise"] |= noise
    return config


@pytest.mark.parametrize(
    ("table", "arm", "config", "expected"),
    [
        ("table2", "8-8-8", config_of(selector="static"), Printed(80.20)),
        ("table2", "halo_ps", config_of("emnist"), Printed(86.55)),
        ("table2", "2-4-4", config_of("tiny_imagenet", selector="static", start="2-4-4"), Printed(47.45, None, True)),
        ("table2", "4-4-4", config_of(selector="static", start="4-4-4"), Printed()),
        ("table2", "8-8-8", config_of("digits", selector="static"), Printed()),
        ("table2", "8-8-8", config_of(recipe="float32", selector="static"), Printed()),
        ("table3", "halo_ps", config_of(), Printed(80.14)),
        ("table3", "halo_ps", config_of(weights=0.05, inputs=0), Printed(79.98)),
        ("table3", "halo_ps:noise.weights=0.1", config_of(weights=0.1), Printed(79.39)),
        ("table3", "halo_ps", config_of(inputs=0.05), Printed(79.73)),
        ("table3", "halo_ps", config_of(weights=0, inputs=0.1), Printed(79.59)),
        ("table3", "halo_ps", config_of(weights=0.05, inputs=0.1), Printed()),
        ("table3", "halo_ps", config_of(weights=0.1, errors=0.1), Printed(79.39)),
        ("table3", "halo_ps", config_of(errors=0.1), Printed()),
        ("table3", "halo_ps", config_of(weights=0.1, per="read"), Printed()),
        ("table3", "halo_ps", config_of(weights=0.1, relative_to="range"), Printed()),
        ("table2", "8-8-8", config_of(selector="static", weights=0.2), Printed()),
        ("table2", "halo_ps", config_of("emnist/balanced"), Printed(86.55)),
        ("table4", "b/terngrad", config_of(), Printed(82.80, 6.0)),
        ("table3", "8-8-8", config_of(selector="static"), Printed()),
        ("table4", "laq:bits=8", config_of(), Printed(87.96, 0.65)),
        ("table4", "identity", config_of(), Printed()),
        ("", "halo_ps", config_of(), Printed()),
    ],
)
def test_an_arm_has_the_number_of_its_row(table, arm, config, expected):
    assert printed(table, arm, config) == expected


def test_every_table_says_what_it_is_about_and_rows_have_four_numbers():
    assert [*NOTES] == ["table2", "table3", "table4"]
    assert {len(text.split()) for rows in TABLE2.values() for text in rows.values()} == {4}
