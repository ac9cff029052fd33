"""How good a network is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metrics:
    """Of one set of images. `confusion[i][j]` counts images of class i that were taken for class j; a class without
    images has no accuracy.
    """

    images: int
    loss: float
    accuracy: float
    accuracy_interval: tuple[float, float]
    per_class_accuracy: list[float | None]
    confusion: list[list[int]]
