import warnings

import pytest
import torch
from torch.optim import lr_scheduler

from resnet_core.config import ScheduleConfig
from resnet_core.schedule import lr_factor

STEPS, EPOCHS = 10, 6
TOTAL = STEPS * EPOCHS


def of_torch(scheduler: type, **arguments: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    schedule = scheduler(optimizer, **arguments)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule.step()
    return rates


def of_ours(schedule: ScheduleConfig) -> list[float]:
    return [lr_factor(schedule, step, STEPS, EPOCHS) for step in range(TOTAL)]


@pytest.mark.parametrize(
    ("ours", "scheduler", "arguments"),
    [
        (ScheduleConfig(name="cosine"), lr_scheduler.CosineAnnealingLR, {"T_max": TOTAL}),
        (ScheduleConfig(name="cosine", final_factor=0.2), lr_scheduler.CosineAnnealingLR, {"T_max": TOTAL, "eta_min": 0.2}),
        (ScheduleConfig(name="cosine", period_epochs=200), lr_scheduler.CosineAnnealingLR, {"T_max": 200 * STEPS}),
        (ScheduleConfig(name="cosine", period_epochs=2), lr_scheduler.CosineAnnealingLR, {"T_max": 2 * STEPS}),
        (ScheduleConfig(name="linear"), lr_scheduler.LinearLR, {"start_factor": 1.0, "end_factor": 0.0, "total_iters": TOTAL}),
        (ScheduleConfig(name="linear", period_epochs=3, final_factor=0.1), lr_scheduler.LinearLR, {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 3 * STEPS}),
        (ScheduleConfig(name="step", step_epochs=2, gamma=0.5), lr_scheduler.StepLR, {"step_size": 2 * STEPS, "gamma": 0.5}),
        (ScheduleConfig(name="cyclic", cycle_epochs=4, base_factor=0.1), lr_scheduler.CyclicLR, {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 2 * STEPS}),
        (ScheduleConfig(name="constant"), lr_scheduler.ConstantLR, {"factor": 1.0}),
    ],
)  # fmt: skip
def test_schedule_equals_that_of_torch(ours: ScheduleConfig, scheduler: type, arguments: dict[str, object]) -> None:
    assert of_ours(ours) == pytest.approx(of_torch(scheduler, **arguments), abs=1e-9)


@pytest.mark.parametrize("name", ["cosine", "linear"])
@pytest.mark.parametrize("warmup", [0, 1.5])
def test_annealing_ends_with_the_training(name: str, warmup: float) -> None:
    schedule = ScheduleConfig(name=name, warmup_epochs=warmup)
    assert lr_factor(schedule, TOTAL, STEPS, EPOCHS) == pytest.approx(0)
    assert lr_factor(schedule, TOTAL - 1, STEPS, EPOCHS) > 0


@pytest.mark.parametrize("name", ["cosine", "linear", "step", "cyclic", "constant"])
def test_warmup_rises_in_equal_steps_before_the_schedule(name: str) -> None:
    schedule = ScheduleConfig(name=name, warmup_epochs=1.5)
    factors = of_ours(schedule)
    rise = factors[:15]
    assert rise == pytest.approx([(step + 1) / 16 for step in range(15)])
    plain = ScheduleConfig(name=name, period_epochs=EPOCHS - 1.5)
    assert factors[15:] == pytest.approx([lr_factor(plain, step, STEPS, EPOCHS) for step in range(TOTAL - 15)])
