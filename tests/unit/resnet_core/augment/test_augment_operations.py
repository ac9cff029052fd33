from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from resnet_core.augment.policies import Setting, draw_autoaugment, draw_trivialaugment
from resnet_core.augment.tables import PARAMETERS, build_tables

ROUNDED = ("AutoContrast", "Brightness", "Color", "Contrast", "Sharpness")  # Pillow rounds these another way


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Noise, gradients, a flat image, a dark one, one with a flat channel and one of two values: `(10, 3, 32, 32)`."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=generator)
    ramp = torch.arange(32, dtype=torch.uint8).mul(7).expand(3, 32, 32)
    one_flat = torch.cat((noise[1, :2], torch.full((1, 32, 32), 7, dtype=torch.uint8)))
    extremes = noise[2].bitwise_and(1).mul(255)
    flat = torch.full((3, 32, 32), 90, dtype=torch.uint8)
    return torch.cat((noise, torch.stack((ramp, flat, noise[0] // 8, one_flat, extremes))))


def apply(images: Tensor, settings: list[Setting]) -> Tensor:
    """Each of the images with its own setting, all of one kind."""
    tables = build_tables(tuple(dict.fromkeys(settings)), images.shape[-1], torch.device("cpu"))
    (kind,) = tables.kinds
    rows = [tables.row[list(dict.fromkeys(settings)).index(setting)] for setting in settings]
    return kind.apply(images, kind.table[rows])


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_operation_with_a_magnitude_an_image_equals_torchvision_on_each(
    images: Tensor, name: str, memory_format: torch.memory_format
) -> None:
    """With every magnitude of the policies."""
    rng = np.random.default_rng(0)
    policies = draw_autoaugment(1, 32, rng).settings + draw_trivialaugment(1, rng).settings
    settings = [setting for setting in dict.fromkeys(policies) if setting[0] == name for _ in images]
    many = images.repeat(len(settings) // len(images), 1, 1, 1)
    batch = apply(many.contiguous(memory_format=memory_format), settings)
    reference = v2.TrivialAugmentWide()
    for index, image in enumerate(many):
        single = reference._apply_image_or_video_transform(
            image, *settings[index], interpolation=v2.InterpolationMode.NEAREST, fill={torch.Tensor: None}
        )
        assert torch.equal(batch[index], single), (settings[index], f"image {index % len(images)}")


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
    batch = apply(images, [(name, magnitude)] * len(images))
    for index, image in enumerate(images):
        reference = v2.functional.pil_to_tensor(pillow(_pil(image)))
        assert (batch[index].int() - reference.int()).abs().max() <= (1 if name in ROUNDED else 0)


@pytest.mark.parametrize("name", PARAMETERS)
def test_operation_leaves_its_input_alone(images: Tensor, name: str) -> None:
    before = images.clone()
    apply(images, [(name, 0.5)] * len(images))
    assert torch.equal(images, before)
