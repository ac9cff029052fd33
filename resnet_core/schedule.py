"""Learning-rate schedules as pure functions of the step: nothing to save, nothing to restore."""

import math

from resnet_core.config import ScheduleConfig


def lr_factor(schedule: ScheduleConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The factor on `lr` at `step`, counted from zero over the whole training.

    Past the end of a period, cosine swings back up (as torch's CosineAnnealingLR does, so a period longer or
    shorter than the training gives what the published code gave) and linear stays at its final factor.
    """
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    epoch = (step - warmup) / steps_per_epoch
    period = schedule.period_epochs or epochs - schedule.warmup_epochs
    match schedule.name:
        case "cosine":
            wave = (1 + math.cos(math.pi * epoch / period)) / 2
            return schedule.final_factor + (1 - schedule.final_factor) * wave
        case "linear":
            return 1 + (schedule.final_factor - 1) * min(epoch / period, 1)
        case "step":
            return schedule.gamma ** math.floor(epoch / schedule.step_epochs)
        case "cyclic":  # triangular (Smith 2017): bottom, top in the middle of the cycle, bottom
            height = 1 - abs(2 * (epoch / schedule.cycle_epochs % 1) - 1)
            return schedule.base_factor + (1 - schedule.base_factor) * height
        case "constant":
            return 1.0
