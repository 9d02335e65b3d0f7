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
    assert (rival.compressor.qsgd.levels, rival.compressor.qsgd.norm) == (7, "l2")
    assert (rival.recipe.name, rival.recipe.float32.learning_rates) == ("float32", (0.1, 0.01, 0.001))
    ours = arm("halo_ps:step=1,compressor.name=uniform,min_gain=0")
    assert (ours.selector.halo_ps.step, ours.compressor.name, ours.selector.halo_ps.min_gain) == (1, "uniform", 0.0)
    assert arm("topk:compressor.topk.share=0.5").compressor.topk.share == 0.5
    assert arm("8-8-8:recipe.name=float32,recipe.momentum=0.5").recipe.float32.momentum == 0.5


def test_an_arm_has_the_parameters_of_the_entries_that_it_names_and_no_others():
    base = {
        "recipe": {"name": "float32", "float32": {"learning_rates": (0.1, 0.1, 0.1)}},
        "compressor": {"name": "qsgd", "qsgd": {"levels": 7}},
    }
    assert arm("halo_ps", **base).recipe.float32.learning_rates == (0.1, 0.1, 0.1)
    assert arm("halo_ps", **base).compressor.qsgd.levels == 7
    assert arm("qsgd", **base).compressor.qsgd.levels == 7
    both = expand_arms(toy_config(arms=("halo_ps", "lfl:recipe.name=wage"), **base))["lfl:recipe.name=wage"]
    assert set(both.recipe) == {"name", "wage"}
    assert both.compressor.lfl.levels == 2
    assert "qsgd" not in both.compressor


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "known: a precision such as '8-8-8', static, halo_ps, .*identity, uniform.*"),
        ("qsgd:levels", "'levels' is not of the form FIELD=VALUE"),
        ("qsgd:level=3", "level is no parameter of qsgd; it takes: levels, norm, scope; did you mean .*qsgd.levels.*"),
        ("qsgd:levels=many", "compressor.qsgd.levels='many'; allowed: a whole number from 1 to 255"),
        ("qsgd:levels=1.5", "compressor.qsgd.levels=1.5; allowed: a whole number from 1 to 255"),
        ("qsgd:levels=999", "compressor.qsgd.levels=999; allowed: a whole number from 1 to 255"),
        ("qsgd:partition.alpha=1.0", "partition.alpha is the same for all arms; theirs: fields of .*recipe.*"),
        ("qsgd:compressor.name=lfl", "compressor.name='lfl', but qsgd says 'qsgd'"),
        ("qsgd:", "'' is not of the form FIELD=VALUE"),
        ("qsgd:levels=4,levels=5", "compressor.qsgd.levels is said twice"),
        (
            "8-8-8:recipe.momentum=0.5",
            "momentum is no parameter of wage; it takes: .*did you mean recipe.float32.momentum.*",
        ),
        ("9-8-8", "selector.start='9-8-8'; allowed: .*"),
    ],
)
def test_a_wrong_arm_is_one_line_that_says_what_would_be_right(text, message):
    with pytest.raises(ConfigError, match=f"^arms={text!r}: {message}$".replace("(", r"\(").replace(")", r"\)")):
        arm(text)


def test_a_parameter_of_an_entry_that_no_arm_names_is_refused():
    nothing = "changes nothing, as the compressor is not 'qsgd': no arm names it"
    with pytest.raises(ConfigError, match=rf"^compressor.qsgd.levels=7 {nothing}$"):
        arm("lfl", compressor={"qsgd": {"levels": 7}})
    with pytest.raises(ConfigError, match=r"^recipe.wage.loss='cross_entropy' changes nothing, as the recipe is not"):
        arm("qsgd:recipe.name=float32", recipe={"wage": {"loss": "cross_entropy"}})
    with pytest.raises(ConfigError, match=r"^selector.weighted.step=1 .* is not 'weighted': selector.name='halo_ps'$"):
        expand_arms(toy_config(arms=(), selector={"weighted": {"step": 1}}))
    both = toy_config(arms=("qsgd:recipe.name=float32", "qsgd"), recipe={"wage": {"loss": "cross_entropy"}})
    assert expand_arms(both)["qsgd"].recipe.wage.loss == "cross_entropy"
