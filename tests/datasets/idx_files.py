"""Writes small IDX files, independently of the reader, from the format's description."""

import gzip
from pathlib import Path

import numpy as np


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, *, gz: bool = False, side: int = 28, train: int = 20, test: int = 10) -> Path:
    """The four files of a tiny MNIST: image `i` holds the value `i` everywhere and has the label `i % 10`."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", train), ("t10k", test)):
        values = np.arange(count)
        images = np.broadcast_to(values[:, None, None], (count, side, side))
        for stem, array in (
            (f"{prefix}-images-idx3-ubyte", images),
            (f"{prefix}-labels-idx1-ubyte", values % 10),
        ):
            raw = idx_bytes(array)
            path = folder / (f"{stem}.gz" if gz else stem)
            path.write_bytes(gzip.compress(raw) if gz else raw)
    return folder
