import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_core.cpu import weight_gradient

CHANNELS, IMAGES = weight_gradient.LEAST_CHANNELS, weight_gradient.LEAST_IMAGES


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(4, 4), (7, 8), (13, 5)])
def test_values_and_gradients_are_torchs(
    size: tuple[int, int], stride: int, memory_format: torch.memory_format
) -> None:
    x = drawn(3, 5, *size).bfloat16().contiguous(memory_format=memory_format).requires_grad_()
    weight = drawn(4, 5, 3, 3).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        expected = F.conv2d(x, weight, stride=stride, padding=1)
        found = weight_gradient.conv2d(x, weight, stride)
    assert torch.equal(found, expected)
    gradient = drawn(*expected.shape).bfloat16()
    ours, theirs = (torch.autograd.grad(y, (x, weight), gradient) for y in (found, expected))
    assert ours[1].dtype == torch.float32
    assert torch.equal(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1], rtol=2**-7, atol=2**-7)  # both are rounded to bf16 once


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 8)])
def test_gradient_is_that_of_the_definition(size: tuple[int, int], stride: int) -> None:
    """Also where weights see nothing but the border, of which torch's gradient in bf16 can be anything."""
    x, weight = drawn(3, 5, *size).double(), drawn(4, 5, 3, 3).double().requires_grad_()
    y = F.conv2d(x, weight, stride=stride, padding=1)
    gradient = drawn(*y.shape).double().contiguous(memory_format=torch.channels_last)
    (expected,) = torch.autograd.grad(y, weight, gradient)
    torch.testing.assert_close(weight_gradient.weight_gradient(gradient, x, stride), expected)


def test_only_what_is_asked_for_has_a_gradient() -> None:
    """As for images, or a layer that is not trained."""
    x, weight = drawn(3, 5, 4, 4), drawn(4, 5, 3, 3)
    for trained in (x, weight):
        trained.requires_grad_()
        y = weight_gradient.conv2d(x, weight)
        (gradient,) = torch.autograd.grad(y, trained, torch.ones_like(y))
        assert gradient.shape == trained.shape
        trained.requires_grad_(False)


def test_pays_only_where_it_was_measured_to() -> None:
    weight, x = torch.empty(CHANNELS, CHANNELS, 3, 3), torch.empty(IMAGES, CHANNELS, 8, 4)
    assert not weight_gradient.pays(x, weight, 1)  # in float32
    with torch.autocast("cpu", torch.float16):
        assert not weight_gradient.pays(x, weight, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert weight_gradient.pays(x, weight, 1)
        assert not weight_gradient.pays(x.to("meta"), weight, 1)
        assert not weight_gradient.pays(x[1:], weight, 1)
        assert not weight_gradient.pays(x[:, 1:], weight[:, 1:], 1)
        assert not weight_gradient.pays(x, weight[1:], 1)
        large = torch.empty(IMAGES, CHANNELS, 16, 15)
        assert not weight_gradient.pays(large, weight, 1)
        assert weight_gradient.pays(large, weight, 2)
