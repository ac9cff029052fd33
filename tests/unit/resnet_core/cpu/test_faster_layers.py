import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from resnet_core import cpu
from resnet_core.arithmetic import Arithmetic
from resnet_core.config import ModelConfig
from resnet_core.cpu.layers import FasterBatchNorm2d, FasterConv2d, use_faster_layers
from resnet_core.description import NetworkConfig
from resnet_core.model import ResNet

# Of the first stage, with maps of 16 x 16 pixels, the batch norms are faster by groups of pixels; of the second stage,
# with maps of 8 x 8 pixels, the convolutions take fewer multiplications.
CONFIG = NetworkConfig.from_model(ModelConfig(depths=(1, 1), widths=(9, 100), strides=(1, 2)), classes=3)

FP32, BF16 = Arithmetic(torch.float32), Arithmetic(torch.bfloat16)
FASTER_FP32 = replace(FP32, winograd=True, grouped_batch_norm=True)
FASTER_BF16 = replace(BF16, product_gradient=True, grouped_batch_norm=True)


def drawn(images: int = 32) -> torch.Tensor:
    images = torch.randn(images, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return images.contiguous(memory_format=torch.channels_last)


def networks(arithmetic: Arithmetic = FASTER_FP32) -> tuple[ResNet, ResNet]:
    """The network of `model.py`, and the same one with faster layers."""
    torch.manual_seed(0)
    plain = ResNet(CONFIG).to(memory_format=torch.channels_last)
    faster = deepcopy(plain)
    use_faster_layers(faster, arithmetic)
    return plain, faster


def test_parameters_keep_their_names_and_places() -> None:
    plain, faster = networks()
    parameters = dict(faster.named_parameters())
    use_faster_layers(faster, FASTER_FP32)  # once more changes nothing
    assert all(parameters[name] is parameter for name, parameter in faster.named_parameters())
    ours, theirs = faster.state_dict(), plain.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert faster.config() == plain.config()


@pytest.mark.parametrize("winograd", [False, True])
@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("products", [False, True])
def test_only_layers_that_the_choice_asks_for_are_replaced(winograd: bool, groups: bool, products: bool) -> None:
    plain, _ = networks()
    use_faster_layers(plain, Arithmetic(torch.float32, winograd, groups, products))
    kinds = {type(module) for module in plain.modules()}
    assert (FasterConv2d in kinds, FasterBatchNorm2d in kinds) == (winograd or products, groups)


@pytest.mark.parametrize(("faster", "rounding"), [(FASTER_FP32, 1e-5), (FASTER_BF16, 1e-2)], ids=str)
def test_training_computes_the_same_but_for_rounding(faster: Arithmetic, rounding: float) -> None:
    plain, faster_network = networks(faster)
    losses = []
    for network in (plain, faster_network):
        with faster.autocast(torch.device("cpu")):
            logits = network.train()(drawn())
        losses.append(F.cross_entropy(logits.float(), torch.arange(32) % 3))
        losses[-1].backward()
    torch.testing.assert_close(losses[1], losses[0], rtol=rounding, atol=0)
    for ours, theirs in zip(faster_network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=100 * rounding, atol=rounding)
    torch.testing.assert_close(faster_network.state_dict(), plain.state_dict(), rtol=rounding, atol=rounding)
    assert not torch.equal(faster_network.stem.weight.grad, plain.stem.weight.grad)  # or the layers are torch's own


def test_evaluation_is_that_of_the_plain_network_bit_for_bit() -> None:
    plain, faster = networks()
    assert torch.equal(faster.eval()(drawn()), plain.eval()(drawn()))


def test_thresholds_were_measured_with_the_torch_of_the_image() -> None:
    """When this fails: measure again with tests/benchmarks/training.py, and adapt the thresholds in resnet_core/cpu."""
    dockerfile = (Path(__file__).parents[4] / "Dockerfile").read_text()
    pinned = re.search(r"^ARG TORCH_VERSION=(.+)$", dockerfile, re.MULTILINE)
    assert pinned is not None
    assert pinned[1] == cpu.MEASURED_WITH_TORCH
