"""What runs are called in tables and figures."""

import pytest

from halo_jax.records.names import arm_label, is_of_one_precision, without_seed


@pytest.mark.parametrize(
    ("arm", "label"),
    [
        ("8-8-8", "8-8-8"),
        ("halo_ps", "HaLo-FL"),
        ("a/halo_ps:recipe.name=wage,width=0.5", "a/HaLo-FL (recipe.name=wage, width=0.5)"),
        ("a/:b", "a/:b"),
    ],
)
def test_an_arm_is_called_as_in_the_paper_with_its_fields_in_brackets(arm, label):
    assert arm_label(arm) == label


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("seed_0/8-8-8", "8-8-8"),
        ("a/seed_12/8-8-8", "a/8-8-8"),
        ("partition.alpha=0.1,seed=0/halo_ps", "partition.alpha=0.1/halo_ps"),
        ("seed=3,rounds=5/halo_ps", "rounds=5/halo_ps"),
        ("seed=3/halo_ps", "halo_ps"),
        ("halo_ps:seeding=1", "halo_ps:seeding=1"),
        ("seed_0", ""),
    ],
)
def test_runs_of_several_seeds_share_all_but_the_seed(name, shared):
    assert without_seed(name) == shared


def test_an_arm_of_one_precision_is_called_by_it():
    named = ("8-8-8", "10-8-8:recipe.order=neurosim", "8-8-8 (recipe.name=wage)", "8-8-8 (unfinished, 2 of 4 rounds)")
    assert all(map(is_of_one_precision, named))
    assert not any(map(is_of_one_precision, ("halo_ps", "a/8-8-8", "8-8", "8-8-8-8", "007", "8-8-8x")))
