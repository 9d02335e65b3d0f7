"""What the name of an arm says: a precision, a selector or a compressor, and fields of its own."""

import pytest

from halo_jax.config import Config, ConfigError
from halo_jax.config.arms import expand_arms
from tests.toy_run import toy_config


def arm(text, **values) -> Config:
    return expand_arms(toy_config(arms=(text,), **values))[text]


def test_a_precision_is_a_static_arm_and_a_compressor_too():
    static, rival = arm("4-6-8"), arm("terngrad")
    assert (static.selector.name, static.selector.start, static.compressor.name) == ("static", "4-6-8", "identity")
    assert (rival.selector.name, rival.selector.start, rival.compressor.name) == ("static", "8-8-8", "terngrad")
    assert static.arms == rival.arms == ()


def test_short_fields_are_of_the_names_own_section_and_long_ones_of_any():
    rival = arm("qsgd:levels=7,norm=l2,recipe.name=float32,recipe.learning_rates=(0.1,0.01,0.001)")
    assert (rival.compressor.levels, rival.compressor.norm) == (7, "l2")
    assert (rival.recipe.name, rival.recipe.learning_rates) == ("float32", (0.1, 0.01, 0.001))
    ours = arm("halo_ps:step=1,compressor.name=uniform,min_gain=0")
    assert (ours.selector.step, ours.compressor.name, ours.selector.min_gain) == (1, "uniform", 0.0)


def test_an_arm_that_changes_a_name_starts_from_that_entrys_own_defaults():
    base = {
        "recipe": {"name": "float32", "learning_rates": (0.1, 0.1, 0.1)},
        "compressor": {"name": "qsgd", "levels": 7},
    }
    assert arm("halo_ps", **base).recipe.learning_rates == (0.1, 0.1, 0.1)
    assert arm("halo_ps", **base).compressor.levels == 7
    assert arm("halo_ps:recipe.name=wage", **base).recipe.learning_rates == ()
    assert arm("lfl", **base).compressor.levels == 0
    assert arm("qsgd", **base).compressor.levels == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "known: a precision such as '8-8-8', static, halo_ps, .*identity, uniform.*"),
        ("qsgd:levels", "'levels' is not of the form FIELD=VALUE"),
        ("qsgd:level=3", r"unknown field 'compressor.level'; did you mean compressor.levels.*"),
        ("qsgd:levels=many", "compressor.levels='many'; allowed: a whole number from 0 to 255"),
        ("qsgd:levels=1.5", "compressor.levels=1.5; allowed: a whole number from 0 to 255"),
        ("qsgd:levels=999", "compressor.levels=999; allowed: a whole number from 0 to 255"),
        ("qsgd:partition.alpha=1.0", "partition.alpha is the same for all arms; theirs: fields of recipe, .*"),
        ("qsgd:compressor.name=lfl", "compressor.name='lfl', but qsgd says 'qsgd'"),
        ("qsgd:", "'' is not of the form FIELD=VALUE"),
        ("qsgd:levels=4,levels=5", "'levels=4,levels=5' says a field twice"),
        ("9-8-8", "selector.start='9-8-8'; allowed: .*"),
    ],
)
def test_a_wrong_arm_is_one_line_that_says_what_would_be_right(text, message):
    with pytest.raises(ConfigError, match=f"^arms={text!r}: {message}$".replace("(", r"\(").replace(")", r"\)")):
        arm(text)


def test_a_field_of_the_experiment_that_every_arm_resets_is_refused():
    with pytest.raises(ConfigError, match=r"^compressor.levels=7 reaches no arm, .*'qsgd:compressor.levels=...'$"):
        arm("qsgd", compressor={"levels": 7})
    with pytest.raises(ConfigError, match=r"^recipe.loss=.* such as 'qsgd:recipe.name=float32,recipe.loss=...'$"):
        arm("qsgd:recipe.name=float32", recipe={"loss": "cross_entropy"})
    both = toy_config(arms=("qsgd:recipe.name=float32", "qsgd"), recipe={"loss": "cross_entropy"})
    assert [one.recipe.loss for one in expand_arms(both).values()] == ["sse", "cross_entropy"]
    assert arm("qsgd:recipe.name=float32", recipe={"phases": (0.5, 0.5, 0.0)}).recipe.phases == (0.5, 0.5, 0.0)
