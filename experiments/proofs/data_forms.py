"""A small good data set of each form that is read, the same bytes each time, and the files of it to be damaged."""

import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from halo_jax.hardware import bit_serial, halosim
from halo_jax.hardware.device_file import text_of
from tests.datasets import idx_files, original_files
from tests.datasets.surroundings import FIXTURES

PICTURES: dict[str, tuple[str, dict[str, Any]]] = {  # suffix, and how Pillow is to save it
    "PNG": ("png", {}),
    "PNG of a palette, in passes": ("png", {"interlace": 1}),
    "moving PNG": ("png", {"save_all": True}),
    "JPEG": ("jpg", {"quality": 90}),
    "progressive JPEG": ("jpeg", {"progressive": True}),
    "GIF": ("gif", {}),
    "moving GIF": ("gif", {"save_all": True}),
    "BMP": ("bmp", {}),
    "TIFF": ("tif", {}),
    "deflated TIFF": ("tiff", {"compression": "tiff_adobe_deflate"}),
    "TIFF of LZW": ("tiff", {"compression": "tiff_lzw", "save_all": True}),
    "WebP": ("webp", {"lossless": True}),
    "moving WebP": ("webp", {"save_all": True}),
    "PPM": ("ppm", {}),
}
CHIPS = {"halosim": halosim, "bit_serial": bit_serial}


class Form(NamedTuple):
    """Its data set (or "chip" and its platform), `data_dir`, and the files that may be damaged."""

    dataset: str
    data_dir: Path
    files: list[Path]


def make(place: Path) -> dict[str, Form]:
    """All forms, each below a folder of its own."""
    return {name: form for forms in (_arrays, _pictures, _archives, _others) for name, form in forms(place)}


def _arrays(place: Path) -> Iterator[tuple[str, Form]]:
    for name, save in (("npz", np.savez), ("deflated npz", np.savez_compressed)):
        path = place / name / "own.npz"
        path.parent.mkdir(parents=True)
        arrays: dict[str, Any] = original_files.own_arrays()
        save(path, **arrays)
        yield name, Form("npz", path, [path])
    for name, gz in (("IDX", False), ("gzipped IDX", True)):
        folder = idx_files.write_mnist(place / name, gz=gz)
        for path in folder.glob("*.gz"):
            path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=0))
        yield name, Form("mnist", folder, sorted(folder.iterdir()))
    for name in ("Matlab", "deflated Matlab"):
        splits = {
            split: (images[:3], labels[:3]) for split, (images, labels) in original_files.emnist_splits(10).items()
        }
        folder = original_files.write_emnist_matlab(place / name, "digits", splits, packed=name != "Matlab")
        path = folder / "emnist-digits.mat"
        path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])  # without the time of day
        yield name, Form("emnist/digits", folder, [path])


def _pictures(place: Path) -> Iterator[tuple[str, Form]]:
    for name, (suffix, how) in PICTURES.items():
        images = [Image.fromarray(image) for image in original_files.pictures(3, 24, 20, 3)]
        if "palette" in name or "GIF" in name:
            images = [image.quantize(16) for image in images]
        for split in ("train", "test"):
            folder = place / name / split / "ape"
            folder.mkdir(parents=True)
            moving: dict[str, Any] = how | ({"append_images": images[1:]} if how.get("save_all") else {})
            images[0].save(folder / f"0.{suffix}", **moving)
            images[1].convert("RGB").save(folder / "1.png")
        yield name, Form("image_folder", place / name, [place / name / "train" / "ape" / f"0.{suffix}"])


def _archives(place: Path) -> Iterator[tuple[str, Form]]:
    for version in ("bin", "py"):
        folder = original_files.write_cifar10(place / f"CIFAR-10 {version}", version=version, per_batch=2)
        inner = folder / f"cifar-10-batches-{version}"
        yield folder.name, Form("cifar10", folder, sorted(inner.glob("*batch*")))
        for kind in ("gzipped tar", "tar"):
            path = place / f"{folder.name} {kind}" / f"cifar-10-{'binary' if version == 'bin' else 'python'}.tar.gz"
            path.parent.mkdir()
            raw = _tar(inner)
            path.write_bytes(gzip.compress(raw, mtime=0) if kind == "gzipped tar" else raw)
            yield path.parent.name, Form("cifar10", path.parent, [path])
    folder = original_files.write_tiny_imagenet(place / "Tiny ImageNet", per_class=1, val=4)
    tables = [*sorted(folder.rglob("*.txt"))[:3], *folder.rglob("val_annotations.txt"), *folder.rglob("wnids.txt")]
    yield folder.name, Form("tiny_imagenet", folder, [*tables, min(folder.rglob("*.JPEG"))])
    path = place / "Tiny ImageNet zip" / "tiny-imagenet-200.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for source in sorted(folder.rglob("*.*")):
            archive.writestr(
                zipfile.ZipInfo(str(source.relative_to(folder))), source.read_bytes(), zipfile.ZIP_DEFLATED
            )
    yield path.parent.name, Form("tiny_imagenet", path.parent, [path])


def _tar(folder: Path) -> bytes:
    with tarfile.open(fileobj=(raw := io.BytesIO()), mode="w") as archive:
        for path in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(f"{folder.name}/{path.name}")
            entry.size = path.stat().st_size
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return raw.getvalue()


def _others(place: Path) -> Iterator[tuple[str, Form]]:
    shutil.unpack_archive(FIXTURES / "tfds_mnist.zip", place / "prepared")
    yield "prepared", Form("mnist", place / "prepared", sorted((place / "prepared" / "mnist" / "3.0.1").iterdir()))
    for platform, device in (("halosim", halosim.CALIBRATED), ("bit_serial", bit_serial.make("stripes_45nm").device)):
        path = place / f"chip of {platform}" / "chip.yaml"
        path.parent.mkdir()
        path.write_text(text_of(device, platform))
        yield path.parent.name, Form(f"chip {platform}", path, [path])
