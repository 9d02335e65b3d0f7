"""The figures show what the records say."""

import numpy as np
import pytest

from halo_jax import figures
from halo_jax.figures import precision_tree
from halo_jax.records import run_folder
from tests.record_fixture import client_rows, cost, round_row, write_run, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"), rounds=20)


def texts(axes) -> list[str]:
    return [text.get_text().split("\n")[0] for text in axes.texts]


def test_accuracy_has_a_line_an_arm_with_the_records_values(runs):
    axes = figures.FIGURES["accuracy_by_round"](runs).axes[0]
    assert len(axes.lines) == 3
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", ":"]
    for line, run in zip(axes.lines, runs.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), 100 * run.rounds["accuracy"])


@pytest.mark.parametrize(
    ("name", "column"), [("accuracy_by_time", "virtual_seconds"), ("accuracy_by_energy_used", "energy_joule")]
)
def test_accuracy_stands_over_what_has_been_used_so_far_and_seeds_make_a_mean_in_a_band(runs, name, column):
    axes = figures.FIGURES[name](runs).axes[0]
    for line, run in zip(axes.lines, runs.values(), strict=True):
        np.testing.assert_allclose(line.get_xdata(), np.cumsum(run.rounds[column]))
        np.testing.assert_array_equal(line.get_ydata(), 100 * run.rounds["accuracy"])
    assert not axes.collections
    worse = runs["2-4-4"]._replace(rounds={**runs["2-4-4"].rounds, column: 3 * runs["2-4-4"].rounds[column]})
    figure = figures.SEEDS_FIGURES[name]({"seed_0/qsgd": runs["8-8-8"], "seed_1/qsgd": worse, "seed_0/laq": worse})
    mean, alone = figure.axes[0].lines
    both = [run.rounds for run in (runs["8-8-8"], worse)]
    np.testing.assert_allclose(mean.get_xdata(), np.mean([np.cumsum(one[column]) for one in both], 0))
    np.testing.assert_allclose(mean.get_ydata(), np.mean([100 * one["accuracy"] for one in both], 0))
    assert alone.get_label().startswith("laq")
    assert len(figure.axes[0].collections) == 1
    assert "seeds" in figure.get_label()


def test_no_two_of_many_arms_look_alike_and_all_their_names_are_in_the_picture(runs):
    many = {f"qsgd:levels={i},recipe.name=float32": runs["8-8-8"] for i in range(1, 26)}
    figure = figures.FIGURES["accuracy_by_round"](many)
    looks = {(line.get_color(), str(line._dash_pattern), line.get_marker()) for line in figure.axes[0].lines}
    assert len(looks) == 25
    few = dict(list(many.items())[:9])
    figure = figures.FIGURES["accuracy_by_round"](few)
    figure.draw_without_rendering()
    legend = figure.axes[0].get_legend()
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    assert len(legend.get_texts()) == 9


def test_accuracy_leaves_out_rounds_without_evaluation(tmp_path):
    run = write_run(tmp_path / "run", rounds=7, eval_every=3)
    (line,) = figures.FIGURES["accuracy_by_round"]({"halo_ps": run}).axes[0].lines
    assert line.get_xdata().tolist() == [3, 6, 7]


def test_accuracy_without_any_evaluation_is_none(runs):
    run = runs["8-8-8"]
    blind = run._replace(rounds={**run.rounds, "accuracy": np.full(20, np.nan)})
    assert figures.FIGURES["accuracy_by_round"]({"8-8-8": blind}) is None


def test_cost_is_relative_to_the_8_bit_arm(runs):
    figure = figures.FIGURES["cost_by_round"](runs)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"clients that want low {group}" for group in ("energy", "latency", "area")]
    energy, latency, area = figure.axes[1].lines
    eight, last = cost((8, 8, 8)), cost((8, 4, 8))
    for line, now, one in zip((energy, latency, area), last, eight, strict=True):
        assert line.get_ydata()[0] == pytest.approx(1)
        assert line.get_ydata()[-1] == pytest.approx(now / one)
    assert "8-8-8 arm" in figure.axes[0].get_ylabel()
    assert "8-8-8 arm" in figure.get_label()


def test_cost_without_the_8_bit_arm_is_relative_to_the_first_round_and_says_so(runs):
    both = {arm: runs[arm] for arm in ("halo_ps", "2-4-4")}
    figure = figures.FIGURES["cost_by_round"](both)
    assert "first round" in figure.axes[0].get_ylabel()
    assert "round 1, at 8-8-8, is 1" in figure.axes[0].get_title()
    assert figure.axes[2].lines[2].get_ydata()[0] == pytest.approx(1)


@pytest.mark.parametrize("name", ["cost_by_round", "precision_tree"])
def test_without_a_selecting_arm_there_is_nothing_to_draw(runs, name):
    assert figures.FIGURES[name]({"8-8-8": runs["8-8-8"], "2-4-4": runs["2-4-4"]}) is None


def test_tree_shows_the_path_and_the_choices_that_were_not_taken(runs):
    energy, latency, area = figures.FIGURES["precision_tree"](runs).axes
    for axes, taken in ((energy, "8-8-4"), (latency, "8-4-8"), (area, "4-8-8")):
        assert len(axes.texts) == 7  # the root and two levels of three choices
        black = [text.get_text() for text in axes.texts if text.get_color() == "white"]
        assert f"{taken}\nfrom round 15" in black
        assert "8-8-8\nfrom round 1" in black
        assert len(black) == 3
    assert "6-8-8" in texts(energy)
    assert "8-6-6" in texts(energy)
    assert "7 of 7 clients" in energy.get_title()


def redraw(folder, arm, trace) -> run_folder.Run:
    """A run whose clients all follow one trace of precisions, whatever their group."""
    template = write_run(folder / "template", arm, rounds=1)
    run_folder.create(folder / "run", template.config)
    for number, bits in enumerate(trace, start=1):
        names = ("weights_bits", "activations_bits", "errors_bits")
        rows = [row._replace(**dict(zip(names, bits, strict=True))) for row in client_rows(arm, number, len(trace))]
        run_folder.append(folder / "run", round_row(arm, number, len(trace), rows, 1), rows, [])
    return run_folder.read(folder / "run")


def test_tree_stops_at_the_floor_and_names_a_start_nobody_trained_at(tmp_path):
    run = redraw(tmp_path, "halo_ps", [(8, 6, 8), (8, 4, 8), (8, 4, 6)])
    axes = figures.FIGURES["precision_tree"]({"halo_ps": run}).axes[0]
    assert "8-8-8\nstart" in [text.get_text() for text in axes.texts]
    assert "8-2-8" not in texts(axes)  # below the floor 2-4-4
    assert {"6-4-8", "8-4-6"} <= set(texts(axes))


def test_tree_shows_a_jump_that_is_no_single_step(tmp_path):
    run = redraw(tmp_path, "exhaustive", [(8, 8, 8), (4, 4, 4)])
    axes = figures.FIGURES["precision_tree"]({"exhaustive": run}).axes[0]
    assert "4-4-4" in texts(axes)
    assert len(axes.texts) == 5


def test_a_precision_that_rises_has_no_path_down(tmp_path):
    run = redraw(tmp_path, "random", [(8, 8, 8), (4, 4, 4), (4, 6, 4)])
    assert figures.FIGURES["precision_tree"]({"random": run}) is None


def test_path_is_that_of_most_clients(runs):
    run = runs["halo_ps"]
    bits = run.clients["weights_bits"].copy()
    bits[run.clients["client"] == 0] = 6
    path, who = precision_tree._path(run._replace(clients={**run.clients, "weights_bits": bits}), "energy")
    assert who == "6 of 7 clients"
    assert [stop.precision for stop in path] == [(8, 8, 8), (8, 8, 6), (8, 8, 4)]


def test_labels_are_drawn_where_all_runs_share_them(runs):
    draw, one = figures.FIGURES["labels_by_client"], runs["8-8-8"]
    other = one._replace(labels={name: column + 1 for name, column in one.labels.items()})
    assert draw({"seed_0/8-8-8": one, "seed_1/8-8-8": one}) is not None
    assert draw({"seed_0/8-8-8": one, "seed_1/8-8-8": other}) is None


def test_save_all_writes_what_applies_and_equal_figures_are_equal_bytes(tmp_path, runs):
    saved = figures.save_all(runs, tmp_path / "a")
    assert [path.name for path in saved.values()] == [f"{name}.png" for name in figures.FIGURES]
    again = figures.save_all(runs, tmp_path / "b")
    for caption, path in saved.items():
        assert path.read_bytes()[:4] == b"\x89PNG"
        assert path.read_bytes() == again[caption].read_bytes()
    alone = figures.save_all({"8-8-8": runs["8-8-8"]}, tmp_path / "c")
    assert [path.name for path in alone.values()] == [
        "accuracy_by_round.png",
        "accuracy_by_time.png",
        "accuracy_by_energy_used.png",
        "labels_by_client.png",
    ]
