import pytest
import torch
from torch import nn

from resnet_core.device_check import training_step
from resnet_core.device_check.row import Wrong
from resnet_core.device_check.training_step import OperationCounter, Training, find_precision, times_of

CPU = torch.device("cpu")
PRECISION = {"fp32": torch.float32, "bf16": torch.bfloat16}


def test_operations_are_counted_forward_and_backward_without_views() -> None:
    layer, x = nn.Linear(4, 4, bias=False), torch.ones(2, 4, requires_grad=True)
    with OperationCounter() as counter:
        loss = layer(x).view(-1).relu().sum()
    assert counter.count == 3  # the product, which transposes the weight by a view, relu, sum
    with OperationCounter() as counter:
        loss.backward()
    assert counter.count >= 4  # the gradient of the loss, of relu, of x, and of the weight


def test_slow_steps_are_measured_no_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(CPU, "fp32")
    assert len(times_of(training, steps=6)) == 6
    monkeypatch.setattr(training_step, "LONGEST_SECONDS", 0.0)
    assert len(times_of(training, steps=1000)) == 3


def test_steps_are_real_ones() -> None:
    training = Training(CPU, "fp32")
    weights = next(training.state.network.parameters()).clone()
    training.step()
    assert not torch.equal(next(training.state.network.parameters()), weights)


def test_precision_that_is_clearly_slower_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By measured times, here invented, since no device is slow on demand."""
    chosen = Training(CPU).arithmetic
    other = "bf16" if chosen.precision is torch.float32 else "fp32"
    seconds = {torch.float32: 0.1, torch.bfloat16: 0.1}
    monkeypatch.setattr(training_step, "times_of", lambda training: [9.0, seconds[training.arithmetic.precision]])
    assert find_precision(CPU) == f"auto is {chosen}; the fastest step takes 100.0 ms in fp32, 100.0 ms in bf16"
    seconds[PRECISION[other]] = 0.05
    with pytest.raises(Wrong, match=f"auto is {chosen.precision_name}") as wrong:
        find_precision(CPU)
    assert wrong.value.advice == f"set training.precision={other}"
