from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from resnet_core.augment.operations import OPERATIONS

MAGNITUDES = {
    "ShearX": (0.3, -0.99),
    "ShearY": (0.1, -0.3),
    "TranslateX": (14.5, -32.0),
    "TranslateY": (4.8, -3.2),
    "Rotate": (30.0, -135.0),
    "Brightness": (0.9, -0.99),
    "Color": (0.5, -0.9),
    "Contrast": (0.6, -0.7),
    "Sharpness": (0.9, -0.5),
    "Posterize": (8.0, 4.0, 2.0),
    "Solarize": (1.0, 0.4444444477558136, 0.0),
}
ROUNDED = ("AutoContrast", "Brightness", "Color", "Contrast", "Sharpness")  # Pillow rounds these another way
CASES = [(name, magnitude) for name in OPERATIONS for magnitude in MAGNITUDES.get(name, (0.0,))]


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Noise, gradients, a flat image and a dark one: `(8, 3, 32, 32)`."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=generator)
    ramp = torch.arange(32, dtype=torch.uint8).mul(7).expand(3, 32, 32)
    return torch.cat((noise, ramp[None], torch.full((1, 3, 32, 32), 90, dtype=torch.uint8), noise[:1] // 8))


@pytest.mark.parametrize(("name", "magnitude"), CASES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_operation_on_a_batch_equals_torchvision_on_each_image(
    images: Tensor, name: str, magnitude: float, memory_format: torch.memory_format
) -> None:
    reference = v2.TrivialAugmentWide()
    batch = OPERATIONS[name](images.contiguous(memory_format=memory_format), magnitude)
    for index, image in enumerate(images):
        single = reference._apply_image_or_video_transform(
            image, name, magnitude, interpolation=v2.InterpolationMode.NEAREST, fill={torch.Tensor: None}
        )
        assert torch.equal(batch[index], single), f"image {index}"


def _pil(image: Tensor) -> Image.Image:
    picture: Image.Image = v2.functional.to_pil_image(image)
    return picture


@pytest.mark.parametrize(
    ("name", "magnitude", "pillow"),
    [
        ("Invert", 0.0, ImageOps.invert),
        ("Equalize", 0.0, ImageOps.equalize),
        ("Posterize", 4.0, lambda picture: ImageOps.posterize(picture, 4)),
        ("AutoContrast", 0.0, ImageOps.autocontrast),
        ("Sharpness", 0.5, lambda picture: ImageEnhance.Sharpness(picture).enhance(1.5)),
        ("Color", 0.5, lambda picture: ImageEnhance.Color(picture).enhance(1.5)),
        ("Contrast", -0.5, lambda picture: ImageEnhance.Contrast(picture).enhance(0.5)),
        ("Solarize", 128 / 255, lambda picture: ImageOps.solarize(picture, 128)),
        ("Brightness", -0.5, lambda picture: ImageEnhance.Brightness(picture).enhance(0.5)),
    ],
)
def test_operation_equals_pillow_but_for_rounding(
    images: Tensor, name: str, magnitude: float, pillow: Callable[[Any], Image.Image]
) -> None:
    batch = OPERATIONS[name](images, magnitude)
    for index, image in enumerate(images):
        reference = v2.functional.pil_to_tensor(pillow(_pil(image)))
        assert (batch[index].int() - reference.int()).abs().max() <= (1 if name in ROUNDED else 0)


def test_operations_leave_their_input_alone(images: Tensor) -> None:
    before = images.clone()
    for name, magnitude in CASES:
        OPERATIONS[name](images, magnitude)
    assert torch.equal(images, before)
