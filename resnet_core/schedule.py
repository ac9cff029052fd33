"""Learning-rate schedules as pure functions of the step, so that there is no state to save and restore."""

import math

from resnet_core.config import ScheduleConfig


def lr_factor(schedule: ScheduleConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The factor on `lr` at `step`, which is counted from zero over the whole training.

    After the end of a period, cosine rises again and linear stays at its final factor. torch's CosineAnnealingLR rises
    too, so that also a period that differs from the training's length gives what the published code gave.
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
