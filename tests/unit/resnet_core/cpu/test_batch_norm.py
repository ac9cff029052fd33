from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_core.arithmetic import Arithmetic
from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig
from resnet_core.cpu import batch_norm
from resnet_core.cpu.layers import use_faster_layers

CHANNELS, IMAGES, SIDE = 53, 8, 32  # just so many pixels that it pays

Norm = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, float, float], Tensor]


def torch_batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, momentum: float, eps: float
) -> Tensor:
    return F.batch_norm(x, mean, variance, weight, bias, training=True, momentum=momentum, eps=eps)


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.to(dtype, memory_format=torch.channels_last)


def everything(norm: Norm, x: Tensor, gradient: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Values, gradients of x, weight and bias, running mean and variance; the channels' own tensors are of `dtype`."""
    x = x.clone().requires_grad_()
    channels = torch.arange(x.shape[1], dtype=dtype)
    weight, bias = (1 + channels / 50).requires_grad_(), (channels / 10).requires_grad_()
    mean, variance = channels / 5, 1 + channels
    y = norm(x, weight, bias, mean, variance, 0.3, 1e-3)
    return (y.detach(), *torch.autograd.grad(y, (x, weight, bias), gradient), mean, variance)


def error(ours: Tensor, exact: Tensor) -> float:
    return float(torch.linalg.vector_norm(ours.double() - exact) / torch.linalg.vector_norm(exact))


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (3, 14, 8, 2), (4, 20, 1, 3), (1, 16, 1, 2), (2, 53, 8, 3)])
def test_values_gradients_and_statistics_are_those_of_the_definition(shape: tuple[int, ...]) -> None:
    operands = 3 * drawn(*shape, dtype=torch.float64) + 2, drawn(*shape, dtype=torch.float64, seed=1)
    ours, exact = (everything(norm, *operands, torch.float64) for norm in (batch_norm.batch_norm, torch_batch_norm))
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("offset", [0, 100])
def test_float32_errs_less_than_torch(offset: float) -> None:
    x = 3 * drawn(IMAGES, CHANNELS, SIDE, SIDE) + offset
    gradient = drawn(IMAGES, CHANNELS, SIDE, SIDE, seed=1).relu()
    exact = everything(torch_batch_norm, x.double(), gradient.double(), torch.float64)
    ours, theirs = (everything(norm, x, gradient, torch.float32) for norm in (batch_norm.batch_norm, torch_batch_norm))
    for one, other, truth in zip(ours, theirs, exact, strict=True):
        assert error(one, truth) < max(error(other, truth), 1e-6)


def test_bfloat16_errs_by_its_own_rounding() -> None:
    x, gradient = (drawn(IMAGES, CHANNELS, SIDE, SIDE, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    exact = everything(torch_batch_norm, x.double(), gradient.double(), torch.float64)
    ours = everything(batch_norm.batch_norm, x, gradient, torch.float32)
    assert [tensor.dtype for tensor in ours] == [torch.bfloat16] * 2 + [torch.float32] * 4
    for one, truth in zip(ours[:2], exact[:2], strict=True):
        assert error(one, truth) < torch.finfo(torch.bfloat16).eps / 2
    for one, truth in zip(ours[2:], exact[2:], strict=True):
        assert error(one, truth) < 1e-5


def test_pays_only_where_it_was_measured_to(monkeypatch: pytest.MonkeyPatch) -> None:
    x = drawn(IMAGES, CHANNELS, SIDE, SIDE)
    assert batch_norm.pays(x)
    assert batch_norm.pays(x.bfloat16())
    assert not batch_norm.pays(x.to("meta"))
    assert not batch_norm.pays(x[:-1])
    assert not batch_norm.pays(drawn(IMAGES, 48, SIDE, SIDE))
    assert not batch_norm.pays(drawn(IMAGES + 1, CHANNELS, SIDE - 1, SIDE + 1))  # pixels that make no whole groups
    assert not batch_norm.pays(x.contiguous())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not batch_norm.pays(x)


def test_networks_train_with_it_and_are_evaluated_without(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_network(ModelConfig(depths=(1, 1), widths=(9, 10), strides=(1, 1)), PruningConfig(), 3, seed=0)
    use_faster_layers(network, Arithmetic(torch.float32, grouped_batch_norm=True))
    used: list[int] = []

    def noted(x: Tensor, *channels: Tensor) -> Tensor:
        used.append(x.shape[1])
        return torch_batch_norm(x, *channels)  # type: ignore[arg-type]

    monkeypatch.setattr(batch_norm, "batch_norm", noted)
    images = drawn(IMAGES, 3, SIDE, SIDE)
    network.eval()(images)
    assert used == []
    network.train()(images)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert sorted(used) == sorted(norm.num_features for norm in norms)
