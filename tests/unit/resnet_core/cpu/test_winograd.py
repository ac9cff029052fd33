from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_core.arithmetic import Arithmetic
from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig
from resnet_core.cpu import winograd
from resnet_core.cpu.layers import use_faster_layers

CHANNELS, IMAGES = winograd.LEAST_CHANNELS, winograd.LEAST_IMAGES

direct = partial(F.conv2d, padding=1)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def with_gradients(
    convolution: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor, gradient: Tensor
) -> tuple[Tensor, ...]:
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    y = convolution(x, weight)
    return (y.detach(), *torch.autograd.grad(y, (x, weight), gradient))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (4, 4), (5, 8), (8, 8), (7, 13)])
def test_values_and_gradients_are_those_of_the_definition(size: tuple[int, int], memory_format: object) -> None:
    x, weight = drawn(3, 5, *size, dtype=torch.float64), drawn(4, 5, 3, 3, dtype=torch.float64)
    x, weight = (tensor.contiguous(memory_format=memory_format) for tensor in (x, weight))
    operands = x, weight, drawn(3, 4, *size, dtype=torch.float64)
    for ours, exact in zip(with_gradients(winograd.conv2d, *operands), with_gradients(direct, *operands), strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side", winograd.SIDES)
def test_float32_errs_by_millionths(side: int) -> None:
    operands = drawn(IMAGES, 256, side, side).relu(), drawn(256, 256, 3, 3), drawn(IMAGES, 256, side, side)
    exact = with_gradients(direct, *(operand.double() for operand in operands))
    for ours, truth in zip(with_gradients(winograd.conv2d, *operands), exact, strict=True):
        assert torch.linalg.vector_norm(ours - truth) < 5e-6 * torch.linalg.vector_norm(truth)


def test_pays_only_where_it_was_measured_to() -> None:
    weight = torch.empty(CHANNELS, CHANNELS, 3, 3)
    x = torch.empty(IMAGES, CHANNELS, 8, 4)
    assert winograd.pays(x, weight)
    assert not winograd.pays(x.bfloat16(), weight)
    assert not winograd.pays(x.to("meta"), weight)
    assert not winograd.pays(x[1:], weight)
    assert not winograd.pays(x[:, 1:], weight[:, 1:])
    assert not winograd.pays(x, weight[1:])
    assert not winograd.pays(x[..., :6, :], weight)
    assert not winograd.pays(torch.empty(IMAGES, CHANNELS, 16, 16), weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.pays(x, weight)


def test_networks_train_with_it_and_are_evaluated_without(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelConfig(depths=(1, 2), width=CHANNELS, strides=(1, 2))
    network = build_network(model, PruningConfig(), classes=3, seed=0)
    use_faster_layers(network, Arithmetic(torch.float32, winograd=True))
    images = drawn(IMAGES, 3, 8, 8)
    used: list[torch.Size] = []

    def noted(x: Tensor, weight: Tensor) -> Tensor:
        used.append(weight.shape)
        return direct(x, weight)

    monkeypatch.setattr(winograd, "conv2d", noted)
    network.eval()(images)
    assert used == []
    network.train()(images)
    strided = 1
    assert len(used) == 2 * sum(model.depths) - strided
