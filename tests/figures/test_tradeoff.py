"""The figures of a comparison: every arm is drawn and named, from its table alone."""

import numpy as np
import pytest
from matplotlib.text import Text

from halo_jax.figures import COMPARISON_FIGURES
from tests.toy_run import toy_config


def table(arms: int) -> dict:
    number = np.arange(1.0, arms + 1)
    return {
        "arm": np.array([f"system {i:g}" for i in number]),
        "quantised_training": np.array(["yes" if i % 2 else "" for i in number]),
        "accuracy_percent": 50 + 10 * np.sin(number),
        "accuracy_spread_percent": np.where(number == 1, np.nan, 1.5),
        "total_megabytes": 100 / number,
        "up_total_megabytes": 10 / number,
        "energy_joule": number,
    }


@pytest.mark.parametrize("name", COMPARISON_FIGURES)
@pytest.mark.parametrize("arms", [1, 22])
def test_every_arm_has_its_number_and_name_and_the_legend_covers_nothing(name, arms):
    figure = COMPARISON_FIGURES[name](toy_config().to_dict(), {"comparison": table(arms)})
    figure.draw_without_rendering()
    axes = figure.axes[-1]
    assert all([text.get_text() for text in panel.texts] == [str(i + 1) for i in range(arms)] for panel in figure.axes)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(set(labels)) == arms
    best = np.argmax(table(arms)["accuracy_percent"]) + 1
    assert labels[0].startswith(f"1  system {best} (")
    box, (width, height) = axes.get_legend().get_window_extent(), figure.bbox.size
    assert not box.overlaps(axes.get_window_extent())
    assert box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    assert all(panel.get_xlabel().endswith(("(MB)", "(J)")) for panel in figure.axes)
    assert figure.get_label().endswith(".")


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


def test_without_its_table_there_is_nothing_to_draw():
    for draw in COMPARISON_FIGURES.values():
        assert draw(toy_config().to_dict(), {}) is None
