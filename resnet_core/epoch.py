"""Loss and accuracy of one epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """The results of an epoch; the first is number 1.

    `train_loss` and `train_accuracy` are means over the augmented images, each measured when it was trained on. The
    validation results are those of the averaged weights if the recipe averages them.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
