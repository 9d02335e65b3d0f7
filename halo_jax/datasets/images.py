"""Image files as arrays. A file is opened only as one of the formats that are meant, and decoded only if it is small.

Pillow would try all that it knows: it runs Ghostscript for PostScript, whatever the file is named.
"""

import io
import math
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from halo_jax.datasets.base import MOST_PIXELS, one_line

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class ImageError(ValueError):
    """A file that is no image, broken, or of another kind than can be read; one line."""


class WrongSize(ImageError):
    """An image of another size than the others."""


_GREY = ("1", "L", "LA")
_DEEP = ("I", "F")  # and I;16 and its kind: more than 8 bits a channel
_TIFF_TILE = (322, 323)  # the tags of its width and height
_BESIDE = 2**18  # bytes of a file beside its pixels: a thumbnail, a colour profile and the like
_JPEG_SCAN, _MOST_SCANS = b"\xff\xda", 200  # each scan goes over the whole image; ten are usual


def most_bytes(height: int, width: int) -> int:
    """How large the file of an image of this size may be: four bytes a pixel, as if nothing were compressed."""
    return _BESIDE + 4 * height * width


def decode(raw: bytes, formats: tuple[str, ...] = FORMATS, size: tuple[int, int] | None = None) -> np.ndarray:
    """The image in the bytes of a file, uint8 `[H, W, C]`: C is 1 if the file says that it is grey, else 3.

    Of moving images the first; transparency is left out. Raises WrongSize if `size`, its height and width, is another,
    ImageError for what is no image in one of the formats, is broken, large or has deeper colours.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(raw), formats=formats) as image:
            _check(image, raw, size)
            pixels = np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError("no image") from error
    except Exception as error:  # a damaged file may raise anything
        raise ImageError(one_line(error)) from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _check(image: Image.Image, raw: bytes, size: tuple[int, int] | None) -> None:
    """Raise ImageError unless decoding is wanted and takes little; nothing but the header has been read so far."""
    if image.mode.startswith(_DEEP):
        raise ImageError("more than 8 bits a channel")
    if size not in (None, (image.height, image.width)):
        raise WrongSize(f"{image.height}x{image.width}")
    tile = [getattr(image, "tag_v2", {}).get(tag, 1) for tag in _TIFF_TILE]
    for pixels in (image.height * image.width, math.prod(tile)):
        if pixels > MOST_PIXELS:
            raise ImageError(f"{pixels} pixels, more than the {MOST_PIXELS} that are decoded")
    if image.format in ("JPEG", "MPO") and (scans := raw.count(_JPEG_SCAN)) > _MOST_SCANS:
        raise ImageError(f"{scans} scans, more than the {_MOST_SCANS} that are decoded")


def in_colour(image: np.ndarray) -> np.ndarray:
    """A grey image `[H, W, 1]` as `[H, W, 3]`; others as they are."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
