import pytest
import torch
from torch import nn

from resnet_core.device_check import training_step
from resnet_core.device_check.row import Wrong
from resnet_core.device_check.training_step import OperationCounter, find_precision, operations_of_a_step, step_seconds

CPU = torch.device("cpu")


def test_operations_are_counted_forward_and_backward_without_views() -> None:
    layer, x = nn.Linear(4, 4, bias=False), torch.ones(2, 4, requires_grad=True)
    with OperationCounter() as counter:
        loss = layer(x).view(-1).relu().sum()
    assert counter.count == 3  # the product, which transposes the weight by a view, relu, sum
    with OperationCounter() as counter:
        loss.backward()
    assert counter.count >= 4  # the gradient of the loss, of relu, of x, and of the weight


def test_every_step_launches_the_same_operations() -> None:
    count = operations_of_a_step(CPU)
    assert count == operations_of_a_step(CPU)
    assert count > 50


def test_slow_steps_are_measured_no_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(step_seconds(CPU, steps=6)) == 6
    monkeypatch.setattr(training_step, "LONGEST_SECONDS", 0.0)
    assert len(step_seconds(CPU, steps=1000)) == 3


def test_precision_that_is_clearly_slower_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By measured times, here invented, since no device is slow on demand."""
    seconds = {"fp32": 0.1, "bf16": 0.1}
    monkeypatch.setattr(training_step, "step_seconds", lambda _device, precision: [9.0, seconds[precision]])
    monkeypatch.setattr(training_step, "select_precision", lambda _precision, _device: torch.float32)
    assert find_precision(CPU) == "auto is fp32; the fastest step takes 100.0 ms in fp32, 100.0 ms in bf16"
    seconds["bf16"] = 0.05
    with pytest.raises(Wrong, match="auto is fp32") as wrong:
        find_precision(CPU)
    assert wrong.value.advice == "set training.precision=bf16"
