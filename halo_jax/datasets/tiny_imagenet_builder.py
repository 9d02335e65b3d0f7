"""Prepares Tiny ImageNet for tensorflow_datasets, which has no builder of its own; needs TensorFlow.

https://www.tensorflow.org/datasets/add_dataset says what a builder is. Nothing else imports this module, and reading
what it has written needs neither it nor TensorFlow.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from halo_jax.datasets import archives, tiny_imagenet_files
from halo_jax.datasets.archives import Files


class TinyImagenet(tfds.core.GeneratorBasedBuilder):
    """The builder; its name is `tiny_imagenet`."""

    VERSION = tfds.core.Version("1.0.0")
    URL = f"http://cs231n.stanford.edu/{tiny_imagenet_files.ARCHIVE}"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"{tiny_imagenet_files.ARCHIVE}, or the folder in it, if it is not to be downloaded from {URL}"
    )

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Tiny ImageNet: 200 classes, 64x64 in colour; test is the published validation split.",
            features=tfds.features.FeaturesDict(
                {
                    # Choice: PNG. Grey JPEGs become colour, and what is read does not depend on a JPEG decoder.
                    "image": tfds.features.Image(shape=tiny_imagenet_files.IMAGE_SHAPE, encoding_format="png"),
                    "label": tfds.features.ClassLabel(num_classes=tiny_imagenet_files.NUM_CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu/",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        files = self._find(dl_manager)
        features: Any = self.info.features
        features["label"].names = tiny_imagenet_files.class_names(files)
        return {split: self._generate_examples(files, split) for split in ("train", "test")}

    def _generate_examples(self, files: Files, split: str) -> Iterator[tuple[str, dict]]:
        for name, image, label in tiny_imagenet_files.examples(files, split):
            yield name, {"image": image, "label": label}

    def _find(self, dl_manager: Any) -> Files:
        """The user's own copy if there is one, else a downloaded one."""
        try:
            users_copy = tiny_imagenet_files.find(dl_manager.manual_dir)
        except AssertionError:  # no such folder, or an empty one
            users_copy = None
        return users_copy or archives.open_archive(dl_manager.download(self.URL), tiny_imagenet_files.FOLDER)
