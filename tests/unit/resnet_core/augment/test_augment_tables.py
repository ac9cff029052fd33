import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as T

from resnet_core.augment.policies import draw_autoaugment, draw_trivialaugment
from resnet_core.augment.tables import PARAMETERS, build_tables

CPU = torch.device("cpu")


def _moved(numbers: Tensor, name: str, magnitude: float) -> Tensor:
    if name == "Rotate":
        rotated: Tensor = T.rotate(numbers, magnitude)
        return rotated
    slope, pixels = math.degrees(math.atan(magnitude)), int(magnitude)
    moved: Tensor = T.affine(
        numbers,
        angle=0.0,
        scale=1.0,
        translate=[pixels if name == "TranslateX" else 0, pixels if name == "TranslateY" else 0],
        shear=[slope if name == "ShearX" else 0.0, slope if name == "ShearY" else 0.0],
        center=[0.0, 0.0] if name.startswith("Shear") else None,
    )
    return moved


@pytest.mark.parametrize("size", [8, 32, 33, 64])
@pytest.mark.parametrize("name", ["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"])
def test_sources_of_moved_pixels_equal_torchvisions(name: str, size: int) -> None:
    rng = np.random.default_rng(0)
    settings = draw_autoaugment(1, size, rng).settings + draw_trivialaugment(1, rng).settings
    magnitudes = {magnitude for setting, magnitude in settings if setting == name}
    assert len(magnitudes) >= 61
    numbers = torch.arange(1.0, size * size + 1).view(1, size, size)
    for magnitude in magnitudes:
        sources = PARAMETERS[name][1](magnitude, size)
        assert torch.equal(sources, _moved(numbers, name, magnitude).flatten().long()), magnitude


@pytest.mark.parametrize("angle", [0.0, 90.0, -90.0, 180.0, 270.0])
def test_right_angles_lose_no_pixel(angle: float) -> None:
    sources = PARAMETERS["Rotate"][1](angle, 32)
    assert torch.equal(sources.sort().values, torch.arange(1, 1025))


def test_tables_have_one_kind_for_operations_that_run_together() -> None:
    tables = build_tables(draw_trivialaugment(1, np.random.default_rng(0)).settings, 32, CPU)
    assert len(tables.kinds) == 10
    lengths = [len(kind.table) for kind in tables.kinds]
    assert lengths == np.bincount(tables.kind).tolist()
    assert all(tables.row < np.array(lengths)[tables.kind])


def test_tables_are_built_once_for_a_policy_and_a_size() -> None:
    first, again = (draw_autoaugment(1, 32, np.random.default_rng(seed)).settings for seed in (0, 1))
    assert build_tables(first, 32, CPU) is build_tables(again, 32, CPU)
    assert build_tables(first, 32, CPU) is not build_tables(first, 64, CPU)
