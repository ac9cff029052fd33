"""Which operations each image gets: AutoAugment's CIFAR-10 policy and TrivialAugmentWide."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

Setting = tuple[str, float]  # an operation and its magnitude

# AutoAugment (Cubuk et al. 2019, table 7): 25 pairs of operations, each with its probability in tenths and a magnitude
# from 0 to 9.
AUTOAUGMENT_CIFAR10 = """
    Invert 1 -       Contrast 2 6    | Rotate 7 2       TranslateX 3 9  | Sharpness 8 1    Sharpness 9 3
    ShearY 5 8       TranslateY 7 9  | AutoContrast 5 - Equalize 9 -    | ShearY 2 7       Posterize 3 7
    Color 4 3        Brightness 6 7  | Sharpness 3 9    Brightness 7 9  | Equalize 6 -     Equalize 5 -
    Contrast 6 7     Sharpness 6 5   | Color 7 7        TranslateX 5 8  | Equalize 3 -     AutoContrast 4 -
    TranslateY 4 3   Sharpness 2 6   | Brightness 9 6   Color 2 8       | Solarize 5 2     Invert 0 -
    Equalize 2 -     AutoContrast 6 - | Equalize 2 -    Equalize 6 -    | Color 9 9        Equalize 6 -
    AutoContrast 8 - Solarize 2 8    | Brightness 1 3   Color 7 0       | Solarize 4 5     AutoContrast 9 -
    TranslateY 9 9   TranslateY 7 9  | AutoContrast 9 - Solarize 8 3    | Equalize 8 -     Invert 1 -
    TranslateY 7 9   AutoContrast 9 -
"""
SIGNED = (
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
)
WITHOUT_MAGNITUDE = ("Identity", "AutoContrast", "Equalize", "Invert")


@dataclass(frozen=True)
class PolicyDraw:
    """Which setting each of N images gets in each of L layers, which are applied one after the other.

    `layers` is `(L, N)` and holds indices into `settings`, of which no two are equal. The settings are the same in each
    epoch.
    """

    settings: tuple[Setting, ...]
    layers: NDArray[np.int64]

    @classmethod
    def merging_equals(cls, settings: list[Setting], layers: NDArray[np.int64]) -> Self:
        index_of: dict[Setting, int] = {}
        merged = np.array([index_of.setdefault(setting, len(index_of)) for setting in settings])
        return cls(tuple(index_of), merged[layers])

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The draw for these images only."""
        return replace(self, layers=self.layers[:, rows])


def draw_autoaugment(n: int, size: int, rng: np.random.Generator) -> PolicyDraw:
    """Draws for each of `n` images one of the 25 pairs, which of its operations are applied, and with which signs."""
    magnitudes = _magnitudes(bins=10, shear=0.3, translate=150 / 331 * size, rotate=30, colour=0.9, bits=4)
    pairs = _parse_autoaugment()
    settings: list[Setting] = [("Identity", 0.0)]
    # For each place of a pair: the probability, and its setting with either sign (twice the same if it has no sign).
    probability, signed_settings = np.zeros((len(pairs), 2)), np.zeros((len(pairs), 2, 2), dtype=np.int64)
    for pair, operations in enumerate(pairs):
        for place, (name, chance, level) in enumerate(operations):
            probability[pair, place] = chance
            magnitude = 0.0 if level is None else magnitudes[name][level]
            for index, sign in enumerate((1, -1) if name in SIGNED else (1, 1)):
                settings.append((name, sign * magnitude))
                signed_settings[pair, place, index] = len(settings) - 1
    chosen = rng.integers(len(pairs), size=n)
    applied = rng.random((n, 2)) < probability[chosen]
    signs = rng.integers(2, size=(n, 2))
    picked = np.take_along_axis(signed_settings[chosen], signs[:, :, None], axis=2)[:, :, 0]
    return PolicyDraw.merging_equals(settings, np.where(applied, picked, 0).T)


def draw_trivialaugment(n: int, rng: np.random.Generator) -> PolicyDraw:
    """Draws one of 14 operations and of 31 magnitudes for each of `n` images (Müller and Hutter 2021, "Wide")."""
    magnitudes = _magnitudes(bins=31, shear=0.99, translate=32, rotate=135, colour=0.99, bits=6)
    operations = [*WITHOUT_MAGNITUDE[:3], *magnitudes]  # without Invert
    settings: list[Setting] = []
    first = np.zeros(len(operations), dtype=np.int64)
    for index, name in enumerate(operations):
        first[index] = len(settings)
        if name in WITHOUT_MAGNITUDE:
            settings.append((name, 0.0))
        else:
            signs = (1, -1) if name in SIGNED else (1,)
            settings += [(name, sign * magnitude) for sign in signs for magnitude in magnitudes[name]]
    count = np.diff(np.append(first, len(settings)))
    operation = rng.integers(len(operations), size=n)
    return PolicyDraw.merging_equals(settings, (first[operation] + rng.integers(count[operation]))[None])


def _magnitudes(
    *, bins: int, shear: float, translate: float, rotate: float, colour: float, bits: int
) -> dict[str, list[float]]:
    """The magnitudes of every operation that has one, from the weakest to the strongest.

    They are computed by torch in float32, since torchvision does the same.
    """

    def up_to(strongest: float) -> list[float]:
        spaced: list[float] = torch.linspace(0.0, strongest, bins).tolist()
        return spaced

    return {
        "ShearX": up_to(shear),
        "ShearY": up_to(shear),
        "TranslateX": up_to(translate),
        "TranslateY": up_to(translate),
        "Rotate": up_to(rotate),
        **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), up_to(colour)),
        "Posterize": (8 - torch.arange(bins) / ((bins - 1) / bits)).round().tolist(),
        "Solarize": torch.linspace(1.0, 0.0, bins).tolist(),
    }


def _parse_autoaugment() -> list[list[tuple[str, float, int | None]]]:
    """Pairs of (operation, probability, magnitude bin or None)."""
    words = AUTOAUGMENT_CIFAR10.replace("|", " ").split()
    operations = [
        (name, int(tenths) / 10, None if level == "-" else int(level))
        for name, tenths, level in zip(words[::3], words[1::3], words[2::3], strict=True)
    ]
    return [operations[index : index + 2] for index in range(0, len(operations), 2)]
