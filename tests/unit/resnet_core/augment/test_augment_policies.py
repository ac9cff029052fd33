from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from torchvision.transforms import AutoAugmentPolicy, v2

from resnet_core.augment.policies import (
    SIGNED,
    _magnitudes,
    _parse_autoaugment,
    draw_autoaugment,
    draw_trivialaugment,
)

N = 200_000


def test_autoaugment_table_equals_torchvision() -> None:
    reference = v2.AutoAugment()._get_policies(AutoAugmentPolicy.CIFAR10)
    assert [tuple(pair) for pair in _parse_autoaugment()] == reference


@pytest.mark.parametrize(
    ("transform", "bins", "ours"),
    [
        (v2.AutoAugment, 10, {"shear": 0.3, "translate": 150 / 331 * 32, "rotate": 30, "colour": 0.9, "bits": 4}),
        (v2.TrivialAugmentWide, 31, {"shear": 0.99, "translate": 32, "rotate": 135, "colour": 0.99, "bits": 6}),
    ],
)
def test_magnitudes_equal_torchvision(transform: type, bins: int, ours: dict[str, float]) -> None:
    magnitudes = _magnitudes(bins=bins, **ours)  # type: ignore[arg-type]
    for name, (spaced, signed) in transform._AUGMENTATION_SPACE.items():
        values = spaced(bins, 32, 32)
        assert (name in SIGNED) == signed
        if values is None:
            assert name not in magnitudes
        else:
            assert magnitudes[name] == [float(value) for value in values]


def test_autoaugment_draws_each_pair_and_operation_with_its_probability() -> None:
    draw = draw_autoaugment(N, 32, np.random.default_rng(0))
    expected = Counter[tuple[int, str]]()
    for pair in _parse_autoaugment():
        for place, (name, probability, _) in enumerate(pair):
            expected[place, name] += probability / 25  # type: ignore[assignment]
    for place, layer in enumerate(draw.layers):
        drawn = Counter(draw.settings[index][0] for index in layer)
        for (where, name), share in expected.items():
            if where == place:
                assert drawn[name] / N == pytest.approx(share, abs=0.004), (place, name)


def test_autoaugment_draws_signs_evenly_and_independently() -> None:
    draw = draw_autoaugment(N, 32, np.random.default_rng(1))
    for name in ("TranslateY", "Color", "Sharpness", "Rotate"):
        values = [draw.settings[i][1] for i in draw.layers[0] if draw.settings[i][0] == name]
        signs = np.sign([value for value in values if value])
        assert abs(signs.mean()) < 0.03, name
    both = np.unique(draw.layers[:, (draw.layers > 0).all(axis=0)], axis=1)
    drawn = {(draw.settings[first], draw.settings[second]) for first, second in both.T}
    magnitudes = _magnitudes(bins=10, shear=0.3, translate=150 / 331 * 32, rotate=30, colour=0.9, bits=4)
    expected = set()
    for pair in _parse_autoaugment():
        if all(probability > 0 for _, probability, _ in pair):
            values = [0.0 if level is None else magnitudes[name][level] for name, _, level in pair]
            signs_of = [(1, -1) if name in SIGNED else (1,) for name, _, _ in pair]
            for one, two in product(*signs_of):
                expected.add(((pair[0][0], one * values[0]), (pair[1][0], two * values[1])))
    assert drawn == expected


def test_autoaugment_second_operation_belongs_to_the_same_pair_as_the_first() -> None:
    draw = draw_autoaugment(20_000, 32, np.random.default_rng(2))
    pairs = {(first[0], second[0]) for first, second in _parse_autoaugment()}
    for first, second in draw.layers.T:
        if first and second:
            assert (draw.settings[first][0], draw.settings[second][0]) in pairs


def test_trivialaugment_draws_operations_and_magnitudes_evenly() -> None:
    draw = draw_trivialaugment(N, np.random.default_rng(0))
    assert draw.layers.shape == (1, N)
    drawn = [draw.settings[index] for index in draw.layers[0]]
    names = Counter(name for name, _ in drawn)
    assert set(names) == set(v2.TrivialAugmentWide._AUGMENTATION_SPACE)
    for name, count in names.items():
        assert count / N == pytest.approx(1 / 14, abs=0.004), name
    rotations = Counter(magnitude for name, magnitude in drawn if name == "Rotate")
    assert len(rotations) == 61  # 30 magnitudes of either sign, and none
    assert max(abs(magnitude) for magnitude in rotations) == 135
    assert rotations[135.0] / names["Rotate"] == pytest.approx(1 / 62, abs=0.004)


@pytest.mark.parametrize("size", [32, 64])
def test_autoaugment_translations_grow_with_the_image(size: int) -> None:
    settings = draw_autoaugment(1, size, np.random.default_rng(0)).settings
    strongest = max(magnitude for name, magnitude in settings if name == "TranslateY")
    assert strongest == pytest.approx(150 / 331 * size)


def test_draws_name_every_operation_and_magnitude_once() -> None:
    for draw in (draw_autoaugment(N, 32, np.random.default_rng(0)), draw_trivialaugment(N, np.random.default_rng(0))):
        assert len(set(draw.settings)) == len(draw.settings)
        assert set(np.unique(draw.layers)) == set(range(len(draw.settings)))


def test_draws_follow_the_seed() -> None:
    first, again, other = (draw_autoaugment(100, 32, np.random.default_rng(seed)).layers for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.from_numpy(first).dtype == torch.int64
