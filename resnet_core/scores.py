"""How good a network is."""

from pydantic import BaseModel, ConfigDict


class Metrics(BaseModel):
    """Of one set of images. `confusion[i][j]` counts images of class i that were taken for class j; a class without
    images has no accuracy.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    images: int
    loss: float
    accuracy: float
    accuracy_interval: tuple[float, float]
    per_class_accuracy: list[float | None]
    confusion: list[list[int]]
