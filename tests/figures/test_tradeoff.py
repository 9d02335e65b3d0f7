"""The figures of a comparison: every arm is drawn and named, from its table alone."""

import numpy as np
import pytest

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
        "energy_joule": number,
    }


@pytest.mark.parametrize("name", COMPARISON_FIGURES)
@pytest.mark.parametrize("arms", [1, 22])
def test_every_arm_has_its_number_and_name_and_the_legend_covers_nothing(name, arms):
    figure = COMPARISON_FIGURES[name](toy_config().to_dict(), {"comparison": table(arms)})
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [str(i + 1) for i in range(arms)]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(set(labels)) == arms
    best = np.argmax(table(arms)["accuracy_percent"]) + 1
    assert labels[0].startswith(f"1  system {best} (")
    box, (width, height) = axes.get_legend().get_window_extent(), figure.bbox.size
    assert not box.overlaps(axes.get_window_extent())
    assert box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    assert "(MB, as packed)" in axes.get_xlabel() or "(J, by the cost model)" in axes.get_xlabel()
    assert figure.get_label().endswith(".")


def test_without_its_table_there_is_nothing_to_draw():
    for draw in COMPARISON_FIGURES.values():
        assert draw(toy_config().to_dict(), {}) is None
