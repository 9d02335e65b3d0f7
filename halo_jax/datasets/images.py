"""Image files as arrays: PNG, JPEG and whatever else Pillow reads."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from halo_jax.datasets.base import one_line


class ImageError(ValueError):
    """A file that is no image, broken, or of another kind than can be read; one line."""


_GREY = ("1", "L", "LA")
_DEEP = ("I", "F")  # and I;16 and its kind: more than 8 bits a channel


def decode(raw: bytes) -> np.ndarray:
    """The image in the bytes of a file, uint8 `[H, W, C]`: C is 1 if the file says that it is grey, else 3.

    Transparency is left out. Raises ImageError for what is no image, is broken or has deeper colours.
    """
    try:
        with Image.open(io.BytesIO(raw)) as image:
            if image.mode.startswith(_DEEP):
                raise ImageError("more than 8 bits a channel")
            pixels = np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError("no image") from error
    except Exception as error:  # a damaged file may raise anything
        raise ImageError(one_line(error)) from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def in_colour(image: np.ndarray) -> np.ndarray:
    """A grey image `[H, W, 1]` as `[H, W, 3]`; others as they are."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
