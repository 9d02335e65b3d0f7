"""A trained model outside of its run answers as it did there, and comes back from its file to the bit."""

import dataclasses
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import linen as nn

import halo_jax as hj
from halo_jax.config import ConfigError
from halo_jax.datasets import DatasetError
from halo_jax.models import MODELS, SmallCNN
from halo_jax.records import files, model_file, run_folder
from halo_jax.records.checkpoint_files import CheckpointError
from halo_jax.records.digest import tree_sha256
from halo_jax.records.files import RecordError
from tests.toy_run import launch, toy_config

WAGE = "8-8-8"
ARMS = {
    "wage": WAGE,
    "int16": "4-6-8:recipe.gradient_bits=12,recipe.order=neurosim",
    "float32": "8-8-8:recipe.name=float32",
    "noise": "8-8-8:noise.weights=0.3,noise.inputs=0.2",
}
OTHERS = [name for name in ARMS if name != "wage"]
DATA = hj.datasets.load("synthetic", train_examples=37)
IMAGES = DATA.test_images


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """`folder_of(name)`: the folder of an arm that has trained for three rounds, each saved."""
    folder = tmp_path_factory.mktemp("trained")

    def folder_of(name: str):
        experiment = folder / name
        if not experiment.exists():
            config = toy_config(arms=(ARMS[name],), rounds=3, checkpoint_every=1, test_examples=0, num_clients=3)
            config.evaluation.batch_size = 24  # 64 test images: the last batch is padded
            launch(config, experiment)
        return experiment / ARMS[name]

    return folder_of


each_arm = pytest.mark.parametrize("name", ["wage", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])


@each_arm
def test_a_loaded_model_has_the_recorded_accuracy_and_bits(folder_of, name):
    folder = folder_of(name)
    rounds, summary = run_folder.read(folder).rounds, files.read_json(folder / run_folder.SUMMARY)
    for round in (2, 3):
        model = hj.load(folder, round)
        right = model.predict(DATA.test_images) == DATA.test_labels
        assert right.sum() / len(right) == rounds["accuracy"][round - 1]
        assert model.round == round
    right = [(right & (DATA.test_labels == label)).sum() / (DATA.test_labels == label).sum() for label in range(4)]
    assert right == summary["class_accuracy"]
    assert rounds["accuracy"][-1] == summary["accuracy"]
    assert tree_sha256(model.params if model.codes is None else model.codes) == summary["model_sha256"]


@each_arm
def test_a_saved_model_comes_back_to_the_bit_and_says_what_its_tensors_are(folder_of, name, tmp_path):
    model, path = hj.load(folder_of(name)), tmp_path / "deep" / "model.safetensors"
    model.save(path)
    again = hj.load(path)
    for before, after in ((model.params, again.params), (model.codes, again.codes)):
        assert tree_sha256(before) == tree_sha256(after)
    np.testing.assert_array_equal(model.logits(IMAGES), again.logits(IMAGES), strict=True)
    assert repr(again) == repr(model)
    assert again.config.to_dict() == model.config.to_dict()
    tensors, held = safetensors.numpy.load_file(path), model_file.read(path)
    assert sorted(tensors) == ["QuantConv_0.kernel", "QuantConv_1.kernel", "QuantDense_0.kernel"]
    expected = {"wage": ("int8", 8), "int16": ("int16", 12), "float32": ("float32", None), "noise": ("int8", 8)}
    dtype, bits = expected[name]
    assert {tensor.dtype.name for tensor in tensors.values()} == {dtype}
    grid = {"bits": bits, "scale": 2.0 ** (1 - (bits or 0))}
    assert held.grids == (dict.fromkeys(tensors, grid) if bits else {})
    for tensor, weights in zip(tensors.values(), jax.tree.leaves(model.params), strict=True):
        scale = np.float32(grid["scale"] if bits else 1)
        np.testing.assert_array_equal(tensor.astype(np.float32) * scale, weights, strict=True)
    assert [path.name for path in path.parent.iterdir()] == ["model.safetensors"]


def test_logits_are_those_of_the_module_on_the_weights(folder_of):
    model, images = hj.load(folder_of("wage")), IMAGES[:5]
    pixels, bits = images.astype(np.float32) / 127.5 - 1, hj.Precision(*map(jnp.int32, (6, 4, 8)))
    expected = np.asarray(model.module.apply({"params": model.params}, pixels, bits))
    for precision in ("6-4-8", hj.Precision(6, 4, 8)):
        np.testing.assert_array_equal(model.logits(images, precision), expected, strict=True)
    assert not np.array_equal(model.logits(images), expected)
    np.testing.assert_array_equal(model.logits(images), model.logits(images, "8-8-8"))
    np.testing.assert_array_equal(model.predict(images, "6-4-8"), expected.argmax(1))


def test_images_come_one_or_many_as_whatever_numpy_takes(folder_of):
    model, images = hj.load(folder_of("wage")), IMAGES
    expected = model.predict(images)
    assert expected.dtype == np.int32
    for given in (images[..., 0], images.tolist(), jnp.asarray(images), images.astype(np.int64)):
        np.testing.assert_array_equal(model.predict(given), expected)
    assert [model.predict(images[i : i + 1])[0] for i in range(3)] == expected[:3].tolist()
    assert model.predict(images[:0]).shape == (0,)
    assert model.logits(images[:0]).shape == (0, 4)


class Fixed(nn.Module):
    """Logits that are given."""

    rows: tuple[tuple[float, ...], ...]

    @nn.compact
    def __call__(self, images, precision=None):
        return jnp.array(self.rows)


def test_equal_logits_give_the_first_class_and_a_model_that_has_diverged_no_answer(folder_of):
    rows = ((0.0, 2.0, 2.0, 1.0), (-1.0, -1.0, -1.0, -1.0), (0.0, np.nan, 9.0, 1.0), (0.0, np.inf, 9.0, 1.0))
    model = dataclasses.replace(hj.load(folder_of("wage")), module=Fixed(rows))
    assert model.predict(IMAGES[:4]).tolist() == [1, 0, -1, 1]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 1)), "images: found float64 (2, 8, 8, 1) from 0 to 0; right: whole numbers from 0 to 255"),
        (np.zeros((8, 8), np.uint8), "images: found uint8 (8, 8); right"),
        (np.zeros((2, 8, 9, 1), np.uint8), "images: found uint8 (2, 8, 9, 1); right: uint8 [B, 8, 8, 1]"),
        (np.zeros((2, 8, 8, 3), np.uint8), "images: found uint8 (2, 8, 8, 3); right: uint8 [B, 8, 8, 1]"),
    ],
)
def test_wrong_images_are_one_line(folder_of, images, message):
    with pytest.raises(DatasetError) as caught:
        hj.load(folder_of("wage")).predict(images)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("precision", ["4-4", "1-8-8", "8-8-9", "", 8, (8, 8, 8), hj.Precision(8, 8, 8.0), "static"])
def test_a_wrong_precision_is_one_line(folder_of, precision):
    with pytest.raises(
        ConfigError, match=r"^precision=.*; allowed: an hj.Precision of whole numbers or a text such as"
    ):
        hj.load(folder_of("wage")).predict(IMAGES[:1], precision)


# --- folders


def test_a_folder_and_a_file_may_be_named_from_where_one_is(folder_of, tmp_path, monkeypatch):
    monkeypatch.chdir(folder_of("wage").parent)
    model = hj.load(WAGE)
    monkeypatch.chdir(tmp_path)
    model.save("model.safetensors")
    assert tree_sha256(hj.load("model.safetensors").codes) == tree_sha256(model.codes)


def message_of(error: type[Exception], *arguments) -> str:
    with pytest.raises(error) as caught:
        hj.load(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_round_without_a_checkpoint_is_one_line_with_those_that_have(folder_of):
    folder = folder_of("wage")
    for round in (1, 4, 0, -1):
        assert f"none of round {round}; there: 2, 3; config.checkpoint_every" in message_of(
            CheckpointError, folder, round
        )


def test_the_folder_of_an_experiment_names_its_arms(folder_of, tmp_path):
    experiment = folder_of("wage").parent
    assert f"its folders {WAGE}; right: one of them" in message_of(ConfigError, experiment)
    branch = tmp_path / "branch"
    for seed in (0, 1):
        shutil.copytree(experiment, branch / f"seed_{seed}")
    recorded = json.loads((experiment / "config.json").read_text()) | {"seeds": [0, 1]}
    (branch / "config.json").write_text(json.dumps(recorded))
    assert f"its folders seed_0/{WAGE}, seed_1/{WAGE}; right: one of them" in message_of(ConfigError, branch)
    (branch / "config.json").write_text(json.dumps(recorded | {"study": "cost"}))
    assert "a study, cost, trains no model" in message_of(ConfigError, branch)


def test_what_is_no_run_is_one_line(tmp_path):
    right = "right: the folder of an arm, or a file that hj.load(...).save has written"
    assert message_of(ConfigError, tmp_path) == f"{tmp_path} is no run folder; {right}"
    assert message_of(ConfigError, tmp_path / "no") == f"{tmp_path / 'no'}: no such folder or file; {right}"


@pytest.fixture
def copied(folder_of, tmp_path):
    """A copy of an arm's folder, to be damaged."""
    return shutil.copytree(folder_of("wage"), tmp_path / "arm")


def test_a_run_of_before_says_what_to_do_and_one_that_has_saved_nothing_says_so(copied):
    (copied / "model.json").rename(copied / "model")
    assert "model.json: missing, as in runs of earlier versions; right: launch this" in message_of(RecordError, copied)
    (copied / "model").rename(copied / "model.json")
    shutil.rmtree(copied / "checkpoints")
    assert "checkpoints: No such file or directory; right: a run that has saved" in message_of(CheckpointError, copied)
    (copied / "checkpoints").mkdir()
    assert "checkpoints: no checkpoint yet; " in message_of(CheckpointError, copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": [8, 8]}, "image_shape is [8, 8]; right: height, width and channels"),
        ({"image_shape": [8, 8, 2**30]}, "image_shape is "),
        ({"num_classes": 0}, "num_classes is 0; right: a whole number from 1"),
        ({"num_classes": True}, "num_classes is True; right"),
        ({"precision": "9-8-8"}, "precision is '9-8-8'; right: 'bw-ba-be' with 2 to 8 bits each"),
    ],
)
def test_a_damaged_record_is_one_line(copied, change, message):
    record = files.read_json(copied / "model.json")
    files.write_json(copied / "model.json", record | change)
    assert f"model.json: {message}" in message_of(RecordError, copied)


@pytest.mark.parametrize("change", [{"image_shape": [8, 12, 1]}, {"num_classes": 5}])
def test_a_record_of_another_network_is_one_line(copied, change):
    record = files.read_json(copied / "model.json")
    files.write_json(copied / "model.json", record | change)
    message = message_of(CheckpointError, copied)
    assert message.endswith(
        "is damaged (its model has other arrays than this network); there are also those of round 2"
    )


def test_a_damaged_checkpoint_is_one_line_that_names_the_others(copied):
    for file in (copied / "checkpoints" / "3").rglob("*"):
        if file.is_file() and file.name != "sha256.json":
            file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert "checkpoints/3 is damaged (" in (message := message_of(CheckpointError, copied))
    assert message.endswith("is not what was written); there are also those of round 2")
    assert hj.load(copied, 2).round == 2


# --- entries of one's own


def test_a_network_of_ones_own_is_loaded_once_it_is_registered_again(copied, monkeypatch, tmp_path):
    recorded = json.loads((copied / "config.json").read_text()) | {"model": "mine"}
    (copied / "config.json").write_text(json.dumps(recorded))
    message = message_of(ConfigError, copied)
    assert message.startswith(
        f"{copied}: model='mine'; known: vgg7, small_cnn, resnet8; one of your own has to be list"
    )

    class Mine(SmallCNN):
        """A network of a user's own."""

    monkeypatch.setitem(MODELS, "mine", Mine)
    model = hj.load(copied)
    assert isinstance(model.module, Mine)
    model.save(tmp_path / "mine.safetensors")
    monkeypatch.delitem(MODELS, "mine")
    assert "model='mine'; known: vgg7" in message_of(ConfigError, tmp_path / "mine.safetensors")

    class Other(nn.Module):
        """Another network of the same name."""

        num_classes: int
        width: float = 1.0
        numerics: hj.Arithmetic | None = hj.Numerics()

        @nn.compact
        def __call__(self, images, precision=None):
            return hj.QuantDense(self.num_classes, True, self.numerics)(images.reshape(len(images), -1), precision)

    monkeypatch.setitem(MODELS, "mine", Other)
    assert "is damaged (its model has other arrays than this network)" in message_of(CheckpointError, copied)
    message = message_of(RecordError, tmp_path / "mine.safetensors")
    assert re.search("mine.safetensors: tensor 'QuantConv_..kernel' is in one of file and network only", message)


def test_entries_of_ones_own_that_do_not_predict_need_not_be_registered(copied, tmp_path):
    recorded = json.loads((copied / "config.json").read_text())
    recorded["selector"] |= {"name": "mine", "mine": {"step": 2}}
    (copied / "config.json").write_text(json.dumps(recorded))
    model = hj.load(copied)
    model.save(tmp_path / "model.safetensors")
    again = hj.load(tmp_path / "model.safetensors")
    assert again.config.selector.mine.step == 2
    np.testing.assert_array_equal(model.predict(IMAGES), again.predict(IMAGES))
    again.save(tmp_path / "again.safetensors")
    configs = [model_file.read(tmp_path / f"{name}.safetensors").config for name in ("model", "again")]
    assert configs[0] == configs[1] == recorded
