"""The schema refuses every impossible value in one line that names the field, the value and what is allowed."""

import json

import ml_collections
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.config import FIELDS, Config, ConfigError, all_fields, default, get, validate


def changed(**values) -> Config:
    """The default with some fields set to anything at all; `__` stands for the dot."""
    fields = default().to_dict()
    for name, value in values.items():
        *parents, leaf = name.split("__")
        node = fields
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    return ml_collections.ConfigDict(fields)


def message_of(config: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(config)
    message = str(caught.value)
    assert message.isprintable(), "more than one line"
    return message


def test_the_default_is_valid_locked_and_plain_data():
    config = default()
    validate(config)
    assert json.loads(json.dumps(config.to_dict()))
    with pytest.raises(AttributeError):
        config.learning_rate = 1.0
    with pytest.raises(TypeError):
        config.rounds = "many"


def test_every_field_says_what_is_allowed_and_why():
    for name, field in all_fields().items():
        assert field.kind.allowed, name
        assert field.reason, name
        assert get(default(), name) == field.default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_clients", 0),
        ("num_clients", -1),
        ("num_clients", True),
        ("num_clients", 2.0),
        ("num_clients", 2**31),
        ("num_clients", "20"),
        ("num_clients", None),
        ("rounds", 0),
        ("local_epochs", 0),
        ("batch_size", 0),
        ("eval_every", 0),
        ("checkpoint_every", 0),
        ("cohort_size", -1),
        ("seed", -1),
        ("width", 0.0),
        ("width", -0.5),
        ("width", float("nan")),
        ("width", float("inf")),
        ("width", "wide"),
        ("width", True),
        ("hardware__width", 0.0),
        ("partition__alpha", 0.0),
        ("partition__alpha", float("nan")),
        ("partition__name", "random"),
        ("partition__name", 1),
        ("executor", "fast"),
        ("exact", 1),
        ("exact", "true"),
        ("dataset", 1),
        ("data_dir", "a\nb"),
        ("data_dir", "\0"),
        ("name", ""),
        ("name", ".."),
        ("name", "a/b"),
        ("name", "a\n"),
        ("arms", "8-8-8"),
        ("arms", ["8-8-8"]),
        ("arms", ("",)),
        ("arms", (8,)),
        ("recipe__wage__gradient_bits", 1),
        ("recipe__wage__gradient_bits", 13),
        ("recipe__wage__input_bits", 1),
        ("recipe__wage__input_bits", 9),
        ("recipe__wage__min_limit", 0.0),
        ("recipe__float32__momentum", 1.0),
        ("recipe__wage__loss", "hinge"),
        ("schedule__phases", 1.0),
        ("schedule__phases", ("0.6", "0.4")),
        ("schedule__phases", (0.5, None, 0.5)),
        ("schedule__phases", (1.5, -0.5)),
        ("schedule__phases", (True,)),
        ("recipe__wage__learning_rates", (8, 1, 0)),
        ("recipe__wage__learning_rates", (8, 1, float("nan"))),
        ("recipe__wage__learning_rates", (8, 1, "slow")),
        ("recipe__wage__learning_rates", "8, 1, 1"),
        ("selector__start", "1-8-8"),
        ("selector__start", "8-8-9"),
        ("selector__start", "8-8"),
        ("selector__start", "8-8-8-8"),
        ("selector__start", "8-8-²"),
        ("selector__start", "23-4-4"),
        ("selector__floor", "2-4-567"),
        ("selector__floor", ""),
        ("selector__halo_ps__step", 0),
        ("selector__halo_ps__min_gain", -0.1),
        ("selector__halo_ps__min_gain", float("inf")),
        ("selector__reduce_every", -1),
        ("selector__reduce_rounds", (0,)),
        ("selector__reduce_rounds", ((1,),)),
        ("demand__energy_clients", -1),
        ("compressor__uniform__bits", -1),
        ("compressor__uniform__bits", 9),
        ("compressor__uniform__rounding", "up"),
        ("evaluation__precision", "1-1-1"),
        ("evaluation__batch_size", 0),
    ],
)
def test_an_impossible_value_is_named_with_what_is_allowed(name, value):
    field = name.replace("__", ".")
    message = message_of(changed(**{name: value}))
    assert message.startswith(f"{field}={value!r}")
    assert "allowed: " in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schedule__phases": (0.6, 0.2)}, ["schedule.phases=(0.6, 0.2)", "0.8", "sum of 1"]),
        ({"schedule__phases": ()}, ["schedule.phases=()", "sum of 1"]),
        ({"arms": ("8-8-8", "8-8-8")}, ["arms=('8-8-8', '8-8-8')", "once"]),
        (
            {"selector__reduce_every": 3, "selector__reduce_when": "plateau"},
            ["selector.reduce_every=3", "reduce_when='plateau'", "allowed: selector.reduce_when='rounds'"],
        ),
        (
            {"selector__reduce_rounds": (3,), "selector__reduce_when": "learning_rate"},
            ["selector.reduce_rounds=(3,)", "reduce_when='learning_rate'", "or no reduce_rounds"],
        ),
        ({"cohort_size": 21}, ["cohort_size=21", "num_clients=20"]),
        ({"demand__area_clients": 7}, ["demand", "21", "num_clients=20"]),
        ({"num_clients": 4}, ["demand", "20", "num_clients=4"]),
        (
            {"selector__floor": "8-8-8", "selector__start": "8-4-8"},
            ["selector.floor='8-8-8'", "selector.start='8-4-8'"],
        ),
    ],
)
def test_values_that_do_not_fit_together_are_named(values, words):
    message = message_of(changed(**values))
    assert [word for word in [*words, "allowed: "] if word not in message] == []


def test_unknown_and_missing_fields_are_named():
    assert message_of(changed(round=3)) == "unknown field 'round'; did you mean rounds?"
    assert message_of(changed(recipe__rate=0.1)).startswith("unknown field 'recipe.rate'; did you mean recipe.")
    assert message_of(changed(recipe=3)).startswith("unknown field 'recipe'; did you mean ")
    assert message_of(changed(zzz=3)) == "unknown field 'zzz'; python launch.py --fields=all lists all"
    config = changed()
    del config.evaluation.precision
    assert message_of(config).startswith("missing field evaluation.precision;")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("rounds", 10**400, "1000000"),
        ("rounds", 10**5000, "<int>"),
        ("name", "x" * 101, "'xxx"),
        ("dataset", "x" * 9999, "'xxx"),
        ("arms", ("x" * 201,), "('xxx"),
        ("schedule__phases", (0.25,) * 999, "(0.25, 0.25"),
        ("width", np.ones((3, 3)), "array([[1., 1., 1.],        [1., 1., 1.]"),
        ("x" * 9999, 1, "unknown field 'xxx"),
    ],
    ids=["int", "huge int", "name", "entry", "arm", "tuple", "array", "unknown"],
)
def test_a_value_too_long_or_unprintable_is_shown_in_part(name, value, shown):
    message = message_of(changed(**{name: value}))
    assert shown in message
    assert len(message) < 300


@pytest.mark.parametrize("experiment", [3, None, {}, "experiment"])
def test_an_experiment_that_is_no_config_is_refused(experiment):
    assert message_of(experiment) == (
        f"the experiment is a {type(experiment).__name__}; allowed: config.default() with changes"
    )


def test_a_field_whose_name_is_a_number_is_unknown():
    assert message_of(changed(recipe={1: 3})).startswith("unknown field 'recipe.1'")
    assert message_of(changed(recipe={1: 3, "loss": "sse"})).startswith("a name of a field is not text; ")


@pytest.mark.parametrize("values", [{"width": 1}, {"schedule__phases": (1,), "recipe__wage__learning_rates": (0.5,)}])
def test_a_whole_number_may_stand_for_a_float(values):
    validate(changed(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"cohort_size": 20},
        {"evaluation__precision": "2-2-2"},
        {"selector__start": "2-4-4"},
        {"arms": ("8-8-8", "halo_ps")},
        {"width": 4.0},
        {"schedule__phases": (0.7, 0.3), "recipe__wage__learning_rates": (8, 1)},
    ],
)
def test_the_ends_of_a_range_are_allowed(values):
    validate(changed(**values))


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["8-8-8", "2-4-4"])
)
anything = scalars | st.lists(scalars, max_size=3).map(tuple) | st.lists(scalars, max_size=2)


@given(name=st.sampled_from(sorted(FIELDS)), value=anything)
@settings(derandomize=True, max_examples=200, deadline=None)
def test_any_value_of_any_field_is_valid_or_refused_in_one_line(name, value):
    try:
        validate(changed(**{name.replace(".", "__"): value}))
        message = name
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message
    assert name.split(".")[0] in message
