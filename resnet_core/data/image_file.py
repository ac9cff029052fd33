"""One image file: whether it is an image, and how it becomes RGB."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from resnet_core.shown_text import visible

# The formats that are read, and how names of their files end. No other decoder is started: EPS would reach Ghostscript.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "PNG": (".png",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "AVIF": (".avif",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
# Pillow's names for pixels of at most 8 bits a channel.
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"})
# Of the image in the file, and of what resizing makes of it: a file of a few kilobytes can ask for any number. Reading
# so many takes 600 MB.
MAX_PIXELS = 2**26
BACKGROUND = "white"
BLACK_IS_ZERO = 1  # of TIFF's photometric interpretations


class Unusable(ValueError):
    """An image whose pixels have no defined meaning here, or that is too large."""


def read_image(file: Path, size: int) -> torch.Tensor:
    """The image `(3, size, size) uint8`: RGB, the shorter side resized (bilinear, antialiased), the longer one cropped.

    It is turned as its EXIF orientation says, transparent pixels show the background, 16 bits a channel become their
    upper 8, and of several frames or pages the first is taken. Colour profiles are not applied.

    Raises:
        ValueError: the file cannot be read, is no image or a damaged one, is too large, or has pixels of another kind.

    """
    try:
        with file.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about what is not used, such as damaged EXIF data
            with Image.open(stream, formats=list(FORMATS)) as image:
                _check_size(image, size)
                _check_pixels(image)
                ImageOps.exif_transpose(image, in_place=True)
                pixels = T.pil_to_tensor(_rgb(image))
    except Exception as error:  # decoders raise anything
        reason = _reason(error)
    else:
        resized = T.resize(pixels, [size], interpolation=InterpolationMode.BILINEAR, antialias=True)
        cropped: torch.Tensor = T.center_crop(resized, [size, size])
        return cropped
    raise ValueError(f"{shown(file)}: {reason}")


def shown(path: Path) -> str:
    """The path in one line, as messages name it."""
    return visible(str(path))


def _check_size(image: Image.Image, size: int) -> None:
    short, long = sorted(image.size)
    if short * long > MAX_PIXELS:
        raise Unusable(f"{image.width:,} x {image.height:,} pixels, at most {MAX_PIXELS:,} are read")
    if size * (size * long // max(short, 1)) > MAX_PIXELS:
        raise Unusable(f"{image.width:,} x {image.height:,} pixels, too long for its breadth")


def _check_pixels(image: Image.Image) -> None:
    if image.mode not in MODES and not _is_16_bit_grey(image):
        raise Unusable(f"pixels of the kind {image.mode} have no white that is known here; 8 or 16 bits a channel have")
    if isinstance(image, TiffImageFile) and image.mode.startswith("I;16"):
        kind = (image.tag_v2.get(BITSPERSAMPLE), image.tag_v2.get(PHOTOMETRIC_INTERPRETATION))
        if kind != ((16,), BLACK_IS_ZERO):  # Pillow takes others for this one
            raise Unusable("grey of 12 bits, or with white as 0, is not read; 16 bits with black as 0 are")
    if isinstance(image, PngImageFile) and image.mode != "P" and "transparency" in image.info:
        stored = image.tile[0].args
        if stored != image.mode:  # Pillow would compare the colour with pixels of another scale
            raise Unusable("one colour as transparent is read with 8 bits a channel only; an alpha channel always is")


def _is_16_bit_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I")


def _rgb(image: Image.Image) -> Image.Image:
    if _is_16_bit_grey(image):  # Pillow would clip; of 16-bit colours it takes the upper 8 bits
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        opaque = Image.new("RGB", image.size, BACKGROUND)
        layer = image.convert("RGBA")
        opaque.paste(layer, mask=layer)
        return opaque
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return f"not an image ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels, at most {MAX_PIXELS:,} are read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"cannot be decoded: {' '.join(ascii(str(error))[1:-1].split()) or type(error).__name__}"
