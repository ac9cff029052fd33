"""The figures of one epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """One epoch, counted from 1. Training figures are means over the augmented images while they were learnt,
    validation figures belong to the averaged weights where there are any.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
