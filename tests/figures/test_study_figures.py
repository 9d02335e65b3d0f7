"""The figures of studies show what the tables say, at any size of network and grid, also in grey."""

import functools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from halo_jax import figures
from halo_jax.config import schema
from halo_jax.figures import STUDY_FIGURES, front
from halo_jax.records import files
from halo_jax.records.columns import csv_text
from halo_jax.studies import STUDIES

BITS = ("weights_bits", "activations_bits", "errors_bits")
METRICS = ("energy_mj", "latency_s", "area_mm2")


def config_of(**fields) -> dict:
    config = schema.default()
    config.update_from_flattened_dict({"study": "cost", "dataset": "cifar10"} | fields)
    return config.to_dict()


def sweep(datasets=("cifar10", "emnist")) -> dict:
    dimensions = ("weights", "activations", "errors")
    rows = [(name, dimension, bits) for name in datasets for dimension in dimensions for bits in (8, 5, 2)]
    dataset, dimension, bits = map(np.array, zip(*rows, strict=True))
    costs = {metric: bits * (1.0 + 9 * i) for i, metric in enumerate(METRICS)}
    return {"dataset": dataset, "dimension": dimension, "bits": bits.astype(float), **costs}


def breakdown(layers: int, parts=None) -> dict:
    parts = parts or [
        ("forward+backward", "weight tiles", "area_mm2", 40.0, "True"),
        ("gradient", "error tiles", "area_mm2", 10.0, "True"),
        ("gradient", "error tiles", "utilisation", 0.5, "False"),
        ("forward", "reads", "energy_mj", 1e-3, "True"),
        ("backward", "reads", "energy_mj", 1e-3, "True"),
        ("gradient", "reads", "energy_mj", 1e-1, "True"),
        ("gradient", "error writes", "energy_mj", 1e-6, "True"),
        ("update", "weight writes", "energy_mj", 1e-5, "False"),
        ("forward", "reads", "latency_s", 1e-4, "True"),
        ("gradient", "reads", "latency_s", 1e-2, "True"),
    ]
    rows = [(i, f"stage/Block_{i}/QuantConv_0", *part) for i in range(1, layers + 1) for part in parts]
    names = ("layer", "name", "phase", "component", "metric", "value", "in_total")
    columns = dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))
    return {**columns, "layer": columns["layer"].astype(float), "value": columns["value"] * columns["layer"]}


def grid(points: int, on: float = 0.4) -> dict:
    bits = np.linspace(8, 2, points)
    fronts = np.where(np.arange(points) <= on * (points - 1), "energy latency area", "")
    costs = {metric: bits * (1.0 + 9 * i) for i, metric in enumerate(METRICS)}
    names = np.array([f"{i % 7 + 2}-{i // 7 % 7 + 2}-{i // 49 + 2}" for i in range(points)])
    return {"precision": names, **costs, "noise": 4.0**-bits, "fronts": fronts}


def clients(rounds: int = 6) -> dict:
    groups = np.array(["energy", "latency", "area", "none"])
    number, client = np.divmod(np.arange(rounds * 4), 4)
    bits = {name: np.where((number > 2) & (client == i), 6.0, 8.0) for i, name in enumerate(reversed(BITS))}
    costs = dict.fromkeys(METRICS, bits["errors_bits"] * bits["weights_bits"])
    return {"round": number + 1.0, "client": client.astype(float), "constraint": groups[client], **bits, **costs}


def per_layer(layers: int) -> dict:
    number = np.arange(1.0, layers + 1)
    bits = {name: 2 + (number + i) % 7 for i, name in enumerate(BITS)}
    return {"layer": number, "name": np.array([f"QuantConv_{i:g}" for i in number]), **bits}


def labels(clients: int, classes: int) -> dict:
    counts = np.random.default_rng(0).integers(0, 90, (clients, classes)).astype(float)
    columns = {f"class_{k}": counts[:, k] for k in range(classes)}
    return {"client": np.arange(clients, dtype=float), "images": counts.sum(1), **columns}


INVENTED = {
    "sensitivity": {"sweep": sweep()},
    "cost_by_round": {"clients": clients()},
    "precision_tree": {"clients": clients()},
    "layer_breakdown": {"breakdown": breakdown(8)},
    "layer_bits": {"per_layer": per_layer(8)},
    "front": {"grid": grid(30)},
    "labels_by_client": {"labels": labels(20, 10)},
}
SIZES = {
    "sensitivity": [{"sweep": sweep(("emnist",))}],
    "cost_by_round": [{"clients": clients(1)}],
    "precision_tree": [{"clients": clients(1)}],
    "layer_breakdown": [{"breakdown": breakdown(layers)} for layers in (1, 60)],
    "layer_bits": [{"per_layer": per_layer(layers)} for layers in (1, 60)],
    "front": [{"grid": grid(points, on)} for points, on in ((1, 1), (40, 1))],
    "labels_by_client": [{"labels": labels(*size)} for size in ((1, 1), (100, 47))],
}
CASES = [(name, tables) for name in INVENTED for tables in [INVENTED[name], *SIZES[name]]]
each_case = pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{name}{i}" for i, (name, _) in enumerate(CASES)])


@functools.cache
def drawn(case: int) -> Figure:
    name, tables = CASES[case]
    figure = STUDY_FIGURES[name](config_of(), tables)
    figure.draw_without_rendering()
    return figure


def greys_and_shapes(artists) -> list[tuple]:
    """What tells artists apart without colour: line style, marker and width, or hatch and a third of brightness."""
    seen = []
    for artist in artists:
        if isinstance(artist, Rectangle):
            red, green, blue = to_rgb(artist.get_facecolor()[:3])
            seen.append((artist.get_hatch(), round(3 * (0.3 * red + 0.59 * green + 0.11 * blue))))
        else:
            seen.append((artist.get_linestyle(), str(artist.get_marker()), artist.get_linewidth()))
    return seen


def test_every_study_figure_is_tested_here():
    assert set(INVENTED) == set(STUDY_FIGURES)
    for name, draw in STUDY_FIGURES.items():
        assert draw.__module__ == f"halo_jax.figures.{name}"


@each_case
def test_axes_have_units_and_data_is_finite_and_nothing_covers_it(case):
    figure = drawn(case)
    assert figure.get_label().endswith(".")
    title = figure.get_suptitle()
    priced = CASES[case][0] != "labels_by_client"
    assert ("priced at width 1 on halosim calibrated; nothing trained" in title) == priced
    assert "trained at" not in title
    width, height = figure.bbox.size
    for axes in figure.axes:
        values = [line.get_ydata() for line in axes.lines] + [[bar.get_height() for bar in axes.patches]]
        assert np.isfinite(np.concatenate(values)).all()
        assert axes.patches or axes.lines or axes.texts or axes.collections
        if axes.axison:
            texts = axes.get_ylabel() + figure.axes[0].get_ylabel()
            assert any(unit in texts for unit in ("(mJ)", "(s)", "(mm²)", "(bits)", "relative", "client"))
            assert figure.axes[-1].get_xlabel()
        for legend in [*figure.legends, *filter(None, [axes.get_legend()])]:
            box = legend.get_window_extent()
            assert not box.overlaps(axes.get_window_extent())
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= width
            assert box.y1 <= height


@each_case
def test_styles_differ_by_more_than_colour(case):
    for axes in drawn(case).axes:
        handles = axes.get_legend_handles_labels()[0]
        artists = [handle.patches[0] if hasattr(handle, "patches") else handle for handle in handles]
        assert len(set(greys_and_shapes(artists))) == len(artists)


@pytest.mark.parametrize("name", STUDY_FIGURES)
def test_without_its_table_there_is_nothing_to_draw(name):
    others = {table: rows for tables in INVENTED.values() for table, rows in tables.items()}
    for table in INVENTED[name]:
        del others[table]
    for tables in (others, {}, {table: {} for table in INVENTED[name]}):
        assert STUDY_FIGURES[name](config_of(), tables) is None


def test_captions_differ():
    captions = {(CASES[case][0], drawn(case).get_label()) for case in range(len(CASES))}
    assert len({caption for _, caption in captions}) == len(captions) == len(STUDY_FIGURES)


def test_sensitivity_names_its_data_sets_and_goes_down_from_8_bits():
    figure = STUDY_FIGURES["sensitivity"](config_of(dataset="digits"), {"sweep": sweep()})
    assert "vgg7 for cifar10 / emnist," in figure.get_suptitle()
    assert len(figure.axes) == 6
    for axes in figure.axes:
        assert axes.get_ylim()[0] == 0
        assert axes.get_xlim()[0] > axes.get_xlim()[1]
        assert [line.get_label() for line in axes.lines] == ["weights", "activations", "errors"]
    np.testing.assert_array_equal(figure.axes[1].lines[2].get_ydata(), [80, 50, 20])


def heights(axes) -> dict[str, list[float]]:
    return {bars.get_label(): [bar.get_height() for bar in bars.patches] for bars in axes.containers}


def test_breakdown_adds_what_belongs_together_and_says_what_is_not_in_the_total():
    figure = STUDY_FIGURES["layer_breakdown"](config_of(precision="4..8-6-2,8"), {"breakdown": breakdown(2)})
    energy, latency, area = figure.axes
    assert heights(energy) == {
        "forward, reads": pytest.approx([1e-3, 2e-3]),
        "forward, writes\n(not in the total)": pytest.approx([1e-5, 2e-5]),
        "backward, reads": pytest.approx([0.101, 0.202]),
        "backward, writes": pytest.approx([1e-6, 2e-6]),
    }
    assert heights(latency) == {"forward": pytest.approx([1e-4, 2e-4]), "backward": pytest.approx([1e-2, 2e-2])}
    assert heights(area) == {"area of weights": [40, 80], "area of errors": [10, 20]}
    assert [bar.get_y() for bar in area.containers[1].patches] == [40, 80]
    assert [energy.get_yscale(), latency.get_yscale(), area.get_yscale()] == ["log", "log", "linear"]
    assert "at 4-6-2" in figure.get_suptitle()
    assert "update" in figure.get_label()


def test_breakdown_of_another_chip_is_named_by_its_components():
    parts = [
        ("forward", "additions", "energy_mj", 1.0, "True"),
        ("forward", "reads of what waits", "energy_mj", 2.0, "True"),
        ("gradient", "error writes", "energy_mj", 3.0, "True"),
        ("forward", "cycles", "latency_s", 1.0, "True"),
        ("forward", "controller", "area_mm2", 5.0, "True"),
        ("gradient", "activation memory", "area_mm2", 6.0, "True"),
    ]
    figure = STUDY_FIGURES["layer_breakdown"](config_of(), {"breakdown": breakdown(1, parts)})
    energy, latency, area = map(heights, figure.axes)
    assert energy == {"forward, all but writes": [3], "backward, writes": [3]}
    assert latency == {"forward": [1]}
    assert area == {"area of activations": [6], "area of controllers": [5]}
    assert "update" not in figure.get_label()


@pytest.mark.parametrize("name", ["layer_breakdown", "layer_bits"])
def test_few_layers_are_named_and_many_are_numbered(name):
    def ticks(layers):
        tables = {"breakdown": breakdown(layers), "per_layer": per_layer(layers)}
        figure = STUDY_FIGURES[name](config_of(), tables)
        figure.draw_without_rendering()
        low, high = figure.axes[-1].get_xlim()
        return [tick.get_text() for tick in figure.axes[-1].get_xticklabels() if low < tick.get_position()[0] < high]

    few, many = ticks(12), ticks(60)
    assert len(few) == 12
    assert all(label.endswith(("QuantConv_0", f"QuantConv_{i}")) for i, label in enumerate(few, start=1))
    assert max(map(len, few)) <= 22
    assert 5 <= len(many) <= 20
    assert set(many) <= set(map(str, range(1, 61)))


def test_layers_without_names_are_numbered():
    rows = {**per_layer(3), "name": np.full(3, np.nan)}
    figure = STUDY_FIGURES["layer_bits"](config_of(), {"per_layer": rows})
    figure.draw_without_rendering()
    assert {"1", "2", "3"} <= {tick.get_text() for tick in figure.axes[0].get_xticklabels()}


def test_layer_bits_are_the_tables():
    (axes,) = STUDY_FIGURES["layer_bits"](config_of(), {"per_layer": per_layer(9)}).axes
    assert list(heights(axes)) == ["weights", "activations", "errors"]
    for name, values in heights(axes).items():
        assert values == per_layer(9)[f"{name}_bits"].tolist()


@pytest.mark.parametrize(("points", "on"), [(1, 1), (2, 1), (343, 0.5)])
def test_labels_of_the_front_touch_neither_each_other_nor_the_edge(points, on):
    figure = STUDY_FIGURES["front"](config_of(), {"grid": grid(points, on)})
    figure.draw_without_rendering()
    names = set(grid(points)["precision"])
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.texts]
        assert min(points, 2) <= len(boxes) <= front.MOST_LABELS
        assert {label.get_text() for label in axes.texts} <= names
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        frame = axes.get_window_extent()
        assert all(frame.x0 <= box.x0 and frame.y0 <= box.y0 and box.x1 <= frame.x1 for box in boxes)


def test_front_is_stairs_from_the_left_and_may_be_empty():
    rows = grid(5)
    mixed = {name: values[[3, 0, 4, 2, 1]] for name, values in rows.items()}
    mixed["fronts"] = np.array(["energy", "energy area", "", "latency", "energy"])
    energy, latency, _ = STUDY_FIGURES["front"](config_of(), {"grid": mixed}).axes
    assert energy.lines[1].get_xdata().tolist() == rows["noise"][[0, 1, 3]].tolist()
    assert energy.lines[1].get_drawstyle() == "steps-post"
    assert latency.lines[1].get_ydata().tolist() == [rows["latency_s"][2]]
    nothing = {**rows, "fronts": np.full(5, np.nan)}  # as read from a column of empty cells
    figure = STUDY_FIGURES["front"](config_of(), {"grid": nothing})
    assert [len(axes.lines[1].get_xdata()) for axes in figure.axes] == [0, 0, 0]
    assert not any(axes.texts for axes in figure.axes)


def test_selection_is_drawn_as_a_run_that_trained_nothing():
    tables = {"clients": clients()}
    tree = STUDY_FIGURES["precision_tree"](config_of(), tables)
    texts = [text.get_text() for text in tree.axes[0].texts]
    assert {"8-8-8\nfrom round 1", "8-8-6\nfrom round 4"} <= set(texts)
    cost = STUDY_FIGURES["cost_by_round"](config_of(), tables)
    assert [axes.get_title().split("\n")[0] for axes in cost.axes] == [
        f"clients that want low {group}" for group in ("energy", "latency", "area")
    ]
    assert cost.axes[0].lines[0].get_ydata().tolist() == [1, 1, 1, 0.75, 0.75, 0.75]
    for name in ("precision_tree", "cost_by_round"):
        assert STUDY_FIGURES[name](config_of(**{"selector.name": "static"}), tables) is None


def test_equal_tables_are_equal_bytes(tmp_path):
    tables = INVENTED["front"] | INVENTED["layer_bits"]
    one, other = (figures.save_study(config_of(), tables, tmp_path / name) for name in "ab")
    assert [path.name for path in one.values()] == ["layer_bits.png", "front.png"]
    for caption, path in one.items():
        assert path.read_bytes() == other[caption].read_bytes()


def test_a_chip_of_a_file_is_named_by_the_file():
    config = config_of(**{"hardware.device": "/some/where/chip.yaml", "hardware.width": 0.5})
    figure = STUDY_FIGURES["layer_bits"](config, INVENTED["layer_bits"])
    assert figure.get_suptitle().endswith("vgg7 for cifar10, priced at width 0.5 on halosim chip.yaml; nothing trained")


REAL = [
    ({"study": "sensitivity"}, {"sensitivity"}),
    ({"study": "breakdown"}, {"layer_breakdown"}),
    ({"study": "breakdown", "hardware.device": "physical"}, {"layer_breakdown"}),
    ({"study": "cost", "precision": "6-4-4", "hardware.name": "bit_serial"}, {"layer_breakdown"}),
    ({"study": "cost", "precision": "2..4-4-2..4"}, {"front"}),
    ({"study": "selection", "rounds": 10, "num_clients": 20}, {"cost_by_round", "precision_tree"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fields", "names"), REAL)
def test_real_studies_are_drawn(tmp_path, fields, names):
    config = schema.default()
    fields = {"hardware.device": "stripes_45nm"} | fields if "hardware.name" in fields else fields
    config.update_from_flattened_dict({"dataset": "cifar10", "model": "small_cnn"} | fields)
    tables = {}
    for name, table in STUDIES[config.study](config).items():
        files.write(tmp_path / f"{name}.csv", csv_text([table.rows[0]._fields, *table.rows]))
        tables[name] = files.read_columns(tmp_path / f"{name}.csv")
    drawn = figures.save_study(config.to_dict(), tables, tmp_path)
    assert {path.stem for path in drawn.values()} == names
    for path in drawn.values():
        assert path.read_bytes()[:4] == b"\x89PNG"
