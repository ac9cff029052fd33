"""The image operations of the augmentation policies. Each changes a whole batch with one magnitude.

Images are `(N, 3, H, W) uint8`. Magnitudes mean what they mean in torchvision: a slope for shears, pixels for
translations, degrees for rotations, for colours what is added to the factor 1, bits for posterize, and for solarize the
threshold as a fraction of 255. Where an image is moved, the area left empty is black, and each pixel takes the value of
the nearest one in the source.
"""

import math
from collections.abc import Callable

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

NEAREST = InterpolationMode.NEAREST
CORNER = [0.0, 0.0]


def _affine(
    images: Tensor, *, translate: tuple[int, int] = (0, 0), slopes: tuple[float, float] | None = None
) -> Tensor:
    shear = [math.degrees(math.atan(slope)) for slope in slopes or (0.0, 0.0)]
    moved: Tensor = T.affine(
        images,
        angle=0.0,
        translate=list(translate),
        scale=1.0,
        shear=shear,
        interpolation=NEAREST,
        fill=None,
        center=CORNER if slopes else None,
    )
    return moved


OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "Identity": lambda images, _: images,
    "ShearX": lambda images, slope: _affine(images, slopes=(slope, 0.0)),
    "ShearY": lambda images, slope: _affine(images, slopes=(0.0, slope)),
    "TranslateX": lambda images, pixels: _affine(images, translate=(int(pixels), 0)),
    "TranslateY": lambda images, pixels: _affine(images, translate=(0, int(pixels))),
    "Rotate": lambda images, degrees: T.rotate(images, angle=degrees, interpolation=NEAREST),
    "Brightness": lambda images, change: T.adjust_brightness(images, 1.0 + change),
    "Color": lambda images, change: T.adjust_saturation(images, 1.0 + change),
    "Contrast": lambda images, change: T.adjust_contrast(images, 1.0 + change),
    "Sharpness": lambda images, change: T.adjust_sharpness(images, 1.0 + change),
    "Posterize": lambda images, bits: T.posterize(images, bits=int(bits)),
    "Solarize": lambda images, fraction: T.solarize(images, threshold=255.0 * fraction),
    "AutoContrast": lambda images, _: T.autocontrast(images),
    "Equalize": lambda images, _: T.equalize(images),
    "Invert": lambda images, _: T.invert(images),
}
