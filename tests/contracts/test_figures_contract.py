"""What every figure promises, whoever adds it."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from halo_jax.figures import FIGURES
from halo_jax.records import run_folder
from tests.record_fixture import write_runs

PICKS = [("8-8-8", "halo_ps", "2-4-4"), ("halo_ps",), ("8-8-8",), ("weighted", "random")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    arms = tuple(dict.fromkeys(arm for pick in PICKS for arm in pick))
    return write_runs(tmp_path_factory.mktemp("runs"), arms, rounds=6)


@pytest.mark.parametrize("pick", PICKS, ids="+".join)
@pytest.mark.parametrize("name", FIGURES)
def test_draws_a_figure_or_none(runs, name, pick):
    figure = FIGURES[name]({arm: runs[arm] for arm in pick})
    if figure is None:
        assert pick != PICKS[0], "every figure applies to the paper's three arms"
        return
    assert isinstance(figure, Figure)
    assert figure.dpi == 150
    assert figure.get_label().endswith("."), "the label is the caption, a sentence"
    title = figure.get_suptitle()
    for fact in ("emnist", "trained at width 0.125", "priced at width 1"):
        assert fact in title
    for axes in figure.axes:
        assert not axes.axison or (axes.get_xlabel() and figure.axes[0].get_ylabel())
        assert axes.get_legend() is None, "a legend inside the axes may cover data"
    figure.canvas.draw()


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_that_has_just_begun_draws_or_is_none(tmp_path, runs, name):
    empty = {}
    for arm in PICKS[0]:
        run_folder.create(tmp_path / arm, runs[arm].config)
        empty[arm] = run_folder.read(tmp_path / arm)
    assert FIGURES[name](empty) is None
    figure = FIGURES[name]({**empty, "halo_ps": runs["halo_ps"]})
    figure.canvas.draw()
    drawn = [line.get_ydata() for axes in figure.axes for line in axes.lines]
    assert drawn
    assert np.isfinite(np.concatenate(drawn)).all()


def test_captions_differ(runs):
    captions = [draw(runs).get_label() for draw in FIGURES.values()]
    assert len(set(captions)) == len(captions)


def test_no_figure_touches_pyplot():
    code = "import sys, halo_jax.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
