"""The figures of a comparison: every arm is drawn and named, from its table alone."""

import numpy as np
import pytest
from matplotlib.text import Text

from halo_jax.figures import COMPARISON_FIGURES
from halo_jax.figures.series import row_names
from tests.toy_run import toy_config


def table(arms: int) -> dict:
    number = np.arange(1.0, arms + 1)
    return {
        "arm": np.array([f"the system {i:g}" for i in number]),
        "quantised_training": np.array(["yes" if i % 2 else "" for i in number]),
        "own_bits": np.array(["yes" if i == 3 else "" for i in number]),
        "accuracy_percent": 50 + 10 * np.sin(number),
        "accuracy_spread_percent": np.where(number == 1, np.nan, 1.5),
        "total_megabytes": 100 / number,
        "up_total_megabytes": 10 / number,
        "energy_joule": number,
        "latency_s": number,
        "area_mm2": number,
    }


TRADEOFFS = [name for name in COMPARISON_FIGURES if name.startswith("accuracy_by_")]


@pytest.mark.parametrize("name", TRADEOFFS)
@pytest.mark.parametrize("arms", [2, 22])
def test_every_arm_has_its_number_and_name_and_the_legend_covers_nothing(name, arms):
    figure = COMPARISON_FIGURES[name](toy_config().to_dict(), {"comparison": table(arms)})
    figure.draw_without_rendering()
    axes = figure.axes[-1]
    assert all([text.get_text() for text in panel.texts] == [str(i + 1) for i in range(arms)] for panel in figure.axes)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(set(labels)) == arms
    best = np.argmax(table(arms)["accuracy_percent"]) + 1
    assert labels[0].startswith(f"1  the system {best} (")
    box, (width, height) = axes.get_legend().get_window_extent(), figure.bbox.size
    assert not box.overlaps(axes.get_window_extent())
    assert box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    assert all(panel.get_xlabel().endswith(("(MB)", "(J)", "(s)", "(mm²)")) for panel in figure.axes)
    assert figure.get_label().endswith(".")


def test_short_names_stand_beside_their_points_and_kinds_of_arms_look_different():
    rows = table(3) | {"arm": np.array(["8-8-8", "qsgd", "HaLo-FL"]), "accuracy_percent": np.array([75.0, 76.0, 74.0])}
    axes = COMPARISON_FIGURES["accuracy_by_energy"](toy_config().to_dict(), {"comparison": rows}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["qsgd", "8-8-8", "HaLo-FL"]
    assert axes.get_legend() is None
    assert [bar.lines[0].get_marker() for bar in axes.containers] == ["o", "s", "D"]


def test_an_arm_that_failed_is_an_arrow_at_the_foot_and_leaves_the_others_their_room():
    rows = table(8) | {"accuracy_percent": np.array([76.0, 75.0, 77.0, 74.0, 78.0, 76.5, 75.5, 10.0])}
    figure = COMPARISON_FIGURES["accuracy_by_energy"](toy_config().to_dict(), {"comparison": rows})
    low, high = figure.axes[0].get_ylim()
    assert low > 65
    assert high < 85
    assert "10.0 %" in figure.axes[0].get_legend().get_texts()[-1].get_text()


def test_numbers_of_arms_that_lie_on_each_other_do_not_meet():
    rows = table(12) | {"accuracy_percent": np.full(12, 75.0), "energy_joule": np.full(12, 3.0)}
    figure = COMPARISON_FIGURES["accuracy_by_energy"](toy_config().to_dict(), {"comparison": rows})
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without their lines
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_costs_that_all_arms_share_are_not_drawn():
    same = {name: np.full(3, 7.0) for name in ("total_megabytes", "up_total_megabytes", "latency_s", "area_mm2")}
    for name in ("payload", "latency", "area"):
        assert (
            COMPARISON_FIGURES[f"accuracy_by_{name}"](toy_config().to_dict(), {"comparison": table(3) | same}) is None
        )


def test_without_its_table_there_is_nothing_to_draw():
    for draw in COMPARISON_FIGURES.values():
        assert draw(toy_config().to_dict(), {}) is None


def test_among_many_arms_a_line_joins_those_that_no_other_beats():
    rows = table(10) | {"accuracy_percent": np.array([60, 59, 70, 65, 70, 80, 10, 81, 81, 70.0])}
    lines = []
    for count in (8, 10):
        some = {name: column[:count] for name, column in rows.items()}
        axes = COMPARISON_FIGURES["accuracy_by_latency"](toy_config().to_dict(), {"comparison": some}).axes[0]
        lines.append([line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata()) > 1])
    assert lines == [[], [[[1, 60], [3, 70], [6, 80], [8, 81]]]]


def test_static_arms_are_their_precision_where_that_tells_them_apart():
    arms = np.array(["8-8-8 (recipe.name=wage)", "4-4-4 (recipe.name=wage)", "HaLo-FL (recipe.name=wage)"])
    assert row_names({"arm": arms}) == ["8-8-8", "4-4-4", "HaLo-FL (recipe.name=wage)"]
    both = np.array(["8-8-8 (recipe.name=wage)", "8-8-8"])
    assert row_names({"rounds": np.array([1.0, 2.0]), "arm": both}) == [
        "rounds=1: 8-8-8 (recipe.name=wage)",
        "rounds=2: 8-8-8",
    ]


def swept(**columns) -> dict:
    rows = len(next(iter(columns.values())))
    numbers = {"accuracy_percent": np.arange(rows) + 50.0, "accuracy_spread_percent": np.full(rows, 1.0)}
    return {**columns, "arm": np.tile(["8-8-8", "HaLo-FL"], rows // 2), **numbers}


def swept_by(*entries) -> dict:
    return toy_config().to_dict() | {"sweep": list(entries)}


def test_a_sweep_has_a_line_for_each_arm_and_value_of_other_fields_over_the_first_number():
    data = np.repeat(["mnist", "emnist"], 4)
    rows = swept(dataset=data, rounds=np.full(8, 5.0), width=np.tile([0.5, 0.5, 0.1, 0.1], 2))
    entries = ("dataset=mnist|emnist", "rounds=5", "width=0.5|0.1")
    figure = COMPARISON_FIGURES["sweep"](swept_by(*entries), {"comparison": rows})
    figure.draw_without_rendering()
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [f"{arm}, dataset={name}" for name in ("mnist", "emnist") for arm in ("8-8-8", "HaLo-FL")]
    assert axes.get_xlabel() == "width"
    first = axes.containers[0].lines[0].get_xydata().tolist()
    assert first == [[0.1, 52], [0.5, 50]]


def test_a_sweep_of_names_has_evenly_spaced_ticks_and_no_sweep_no_figure():
    rows = swept(model=np.repeat(["vgg7", "small_cnn", "resnet"], 2))
    axes = COMPARISON_FIGURES["sweep"](swept_by("model=vgg7|small_cnn|resnet"), {"comparison": rows}).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["vgg7", "small_cnn", "resnet"]
    assert axes.get_xticks().tolist() == [0, 1, 2]
    assert COMPARISON_FIGURES["sweep"](toy_config().to_dict(), {"comparison": table(3)}) is None


@pytest.mark.parametrize(
    ("rounds", "width", "at"),
    [
        ([1.0, 2.0, 3.0], [7.0, 0.0, 5.0], [1, 2, 3]),  # the first field tells the points apart
        ([20.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0, 1, 2]),  # only both do: evenly spaced names
    ],
)
def test_fields_that_go_together_are_one_axis(rounds, width, at):
    rows = swept(rounds=np.repeat(rounds, 2), width=np.repeat(width, 2))
    axes = COMPARISON_FIGURES["sweep"](swept_by("rounds=1|2|3;width=7|0|5"), {"comparison": rows}).axes[0]
    assert axes.get_xlabel() == "rounds, width"
    assert [line.lines[0].get_xdata().tolist() for line in axes.containers] == [at, at]
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    assert (names == ["20, 0", "0, 20", "0, 0"]) == (at[0] == 0)
