"""Writes small data sets in the layouts in which the real ones are published, independently of the readers."""

import gzip
import io
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from tests.datasets.idx_files import idx_bytes

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def pictures(count: int, *shape: int, first: int = 0) -> np.ndarray:
    """Images uint8 `[count, *shape]`, each another slanted ramp from 0 to 255: no symmetry hides a wrong axis."""
    image, *axes = np.ix_(*(np.arange(size) for size in (count, *shape)))
    steps = (11, 4, 50)
    return ((first + image) * 37 + sum(a * b for a, b in zip(axes, steps, strict=False))).astype(np.uint8)


Splits = dict[str, tuple[np.ndarray, np.ndarray]]  # images and labels of train and test


def labels_of(count: int, classes: int) -> np.ndarray:
    return (np.arange(count) % classes).astype(np.int32)


# ---- CIFAR-10: five training batches and one to test on, planes of red, green and blue


def cifar10_batches(per_batch: int = 10) -> Splits:
    """Images `[D, 32, 32, 3]` and labels of each batch."""
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    labels = labels_of(per_batch, 10)
    return {name: (pictures(per_batch, 32, 32, 3, first=per_batch * i), labels) for i, name in enumerate(names)}


def _planes(images: np.ndarray) -> np.ndarray:
    return np.stack([images[..., channel].reshape(len(images), -1) for channel in range(3)], 1).reshape(-1, 3072)


def write_cifar10(place: Path, *, version: str = "bin", packed: bool = False, per_batch: int = 10) -> Path:
    """The folder cifar-10-batches-bin or -py in `place`, or the archive of it."""
    folder = place / f"cifar-10-batches-{version}"
    folder.mkdir(parents=True)
    for name, (images, labels) in cifar10_batches(per_batch).items():
        if version == "bin":
            rows = np.concatenate([labels[:, None].astype(np.uint8), _planes(images)], 1)
            (folder / f"{name}.bin").write_bytes(rows.tobytes())
        else:
            (folder / name).write_bytes(python2_pickle(_planes(images), labels))
    if version == "bin":
        (folder / "batches.meta.txt").write_text("\n".join(CIFAR10_CLASSES) + "\n\n")
    if packed:
        archive = place / f"cifar-10-{'binary' if version == 'bin' else 'python'}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, folder.name)
        shutil.rmtree(folder)
    return place


def python2_pickle(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A batch as Python 2 and NumPy 1 have pickled it, by protocol 2: texts are byte strings."""
    text = lambda value: b"U" + bytes([len(value)]) + value  # noqa: E731
    whole = lambda value: b"J" + struct.pack("<i", value)  # noqa: E731
    raw = images.tobytes()
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\1\x87R(K\3" + text(b"|") + b"NNN" + whole(-1) * 2 + b"K\0tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R(K\1"
    array += b"".join(map(whole, images.shape)) + b"\x86" + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    pairs = text(b"batch_label") + text(b"a batch") + text(b"labels") + listed + text(b"data") + array
    return b"\x80\2}(" + pairs + b"u."


# ---- EMNIST: images lie on their side, and the letters are 1 to 26


def emnist_splits(classes: int) -> Splits:
    """Upright images `[D, 28, 28]` and labels from 0."""
    sizes = {"train": 2 * classes, "test": classes}
    return {split: (pictures(count, 28, 28), labels_of(count, classes)) for split, count in sizes.items()}


def write_emnist(place: Path, variant: str, splits: Splits, *, gz: bool = True) -> Path:
    """The four IDX files of a variant."""
    place.mkdir(parents=True, exist_ok=True)
    for split, (images, labels) in splits.items():
        for kind, array in (
            ("images-idx3", np.transpose(images, (0, 2, 1))),
            ("labels-idx1", labels + (variant == "letters")),
        ):
            name, raw = f"emnist-{variant}-{split}-{kind}-ubyte", idx_bytes(array)
            (place / (f"{name}.gz" if gz else name)).write_bytes(gzip.compress(raw) if gz else raw)
    return place


def write_emnist_matlab(place: Path, variant: str, splits: Splits, *, packed: bool = True, **changes) -> Path:
    """The Matlab file of a variant: an image is a row, column by column; image i was written by 100 + i // 3."""
    place.mkdir(parents=True, exist_ok=True)
    struct = {}
    for split, (images, labels) in splits.items():
        struct[split] = {
            "images": np.stack([image.flatten(order="F") for image in images]),
            "labels": labels[:, None].astype(float) + (variant == "letters"),
            "writers": 100.0 + np.arange(len(labels))[:, None] // 3,
        }
    struct["train"] = {key: value for key, value in (struct["train"] | changes).items() if value is not None}
    scipy.io.savemat(place / f"emnist-{variant}.mat", {"dataset": struct}, do_compression=packed)
    return place


# ---- Tiny ImageNet: 200 classes, JPEGs, some of them grey


def tiny_imagenet_colour(label: int) -> tuple[int, int, int]:
    """The one colour of all images of a class; every third class is grey, from black to white."""
    return (label + 55 if label > 2 else label * 127,) * 3 if label % 3 == 0 else (label, 255 - label, 7 * label % 256)


def write_tiny_imagenet(place: Path, *, per_class: int = 2, val: int = 200, packed: bool = False) -> Path:
    """The folder tiny-imagenet-200 in `place`, or the zip of it; wnids.txt is not in the order of the alphabet."""
    folder = place / "tiny-imagenet-200"
    wnids = [f"n{99_999_999 - 37 * label:08d}" for label in range(200)]
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(wnids))
    (folder / "words.txt").write_text("".join(f"{wnid}\ta thing, that thing\n" for wnid in wnids))
    for label, wnid in enumerate(wnids):
        images = folder / "train" / wnid / "images"
        images.mkdir(parents=True)
        names = [f"{wnid}_{number}.JPEG" for number in range(per_class)]
        (images.parent / f"{wnid}_boxes.txt").write_text("".join(f"{name}\t0\t10\t63\t58\n" for name in names))
        for name in names:
            (images / name).write_bytes(_jpeg(label))
    lines = []
    for number in range(val):
        label = 7 * number % 200
        (folder / "val" / "images" / f"val_{number}.JPEG").write_bytes(_jpeg(label))
        lines.append(f"val_{number}.JPEG\t{wnids[label]}\t0\t32\t44\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    if packed:
        shutil.make_archive(str(folder), "zip", place, folder.name)
        shutil.rmtree(folder)
    return place


def _jpeg(label: int) -> bytes:
    colour = tiny_imagenet_colour(label)
    grey = len(set(colour)) == 1
    image = Image.new("L" if grey else "RGB", (64, 64), colour[0] if grey else colour)
    image.save(raw := io.BytesIO(), "JPEG", quality=95)
    return raw.getvalue()


# ---- files of one's own


def write_image_folder(
    place: Path, *, shape: tuple[int, ...] = (6, 5, 3), per_class: int = 20, suffix: str = "png"
) -> Path:
    """`train` and `test` with the classes cat, ape and bee; image i of a split is `pictures()[i]`, class by class."""
    for split, count in (("train", per_class), ("test", per_class // 2)):
        for number, (name, images) in enumerate(zip(("ape", "bee", "cat"), _thirds(count, shape), strict=True)):
            folder = place / split / name
            folder.mkdir(parents=True)
            for i, image in enumerate(images):
                Image.fromarray(image).save(folder / f"{number}_{i:03d}.{suffix}")
    return place


def _thirds(count: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    return np.split(pictures(3 * count, *shape), 3)


def own_arrays(**changes) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, some of them changed or, where None, left out."""
    arrays = {
        "train_images": pictures(60, 9, 7),
        "train_labels": labels_of(60, 3),
        "test_images": pictures(30, 9, 7),
        "test_labels": labels_of(30, 3),
    }
    return {name: array for name, array in (arrays | changes).items() if array is not None}


def write_npz(place: Path, **changes) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    np.savez(place / "own.npz", **own_arrays(**changes))
    return place / "own.npz"
