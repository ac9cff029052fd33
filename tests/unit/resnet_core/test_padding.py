"""Networks padded to multiples of 8 channels, which only GPUs need: that they train alike can be shown anywhere."""

import pytest
import torch
from torch.nn import functional as F

from resnet_core.arithmetic import Arithmetic
from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig, TrainingConfig
from resnet_core.padding import cut, pad, pad_network, padded_config
from resnet_core.step import Step
from resnet_core.training_state import Checkpoint, TrainingState

ODD = ModelConfig(depths=(2, 1), widths=(13, 19), strides=(1, 2))
PRUNED = PruningConfig(method="amounts", amounts=(0.1, 0.2, 0.3))


def trained(optimizer: str, *, padded: bool, checkpoint: Checkpoint | None = None, steps: int = 20) -> TrainingState:
    """The state after some steps in float64, in which nothing is rounded that matters."""
    recipe = TrainingConfig(optimizer=optimizer, lr=0.01, decay_norm_and_bias=True, clip_norm=1.0, ema=0.9)
    model = build_network(ODD, PRUNED, 3, seed=0).to(memory_format=torch.channels_last).double()
    state = TrainingState(model, recipe, torch.float64, padded=padded)
    if checkpoint:
        state.restore(checkpoint, seed=0)
    state.network.train()
    step = Step(state, state.network, recipe, Arithmetic(torch.float32))
    for number in range(steps):
        generator = torch.Generator().manual_seed(number + (state.step if checkpoint else 0))
        images = torch.randn(16, 3, 8, 8, generator=generator, dtype=torch.float64)
        labels = torch.randint(3, (16,), generator=generator)
        step(images.contiguous(memory_format=torch.channels_last), labels, None, first=number == 0 and not checkpoint)
    return state


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "asgd", "muon"])
def test_padded_network_trains_as_the_one_it_stands_for(optimizer: str) -> None:
    plain, padded = trained(optimizer, padded=False), trained(optimizer, padded=True)
    left, right = plain.checkpoint(0, 0.0), padded.checkpoint(0, 0.0)
    for part in ("model", "average"):
        assert left[part].keys() == right[part].keys()
        for name, tensor in left[part].items():
            torch.testing.assert_close(right[part][name], tensor, rtol=0, atol=1e-9, msg=name)
    for name, parameter in padded.network.named_parameters():
        corner = cut(parameter, plain.network.get_parameter(name).shape)
        assert torch.equal(parameter, pad(corner, parameter)), name  # what is padded is still zero
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    expected = plain.evaluated().eval()(images)
    assert torch.allclose(padded.evaluated().eval()(images), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "asgd"])
def test_either_network_goes_on_with_a_checkpoint_of_the_other(optimizer: str) -> None:
    for first in (False, True):
        saved = trained(optimizer, padded=first, steps=10).checkpoint(0, 0.0)
        saved["step"] = 10
        then = trained(optimizer, padded=not first, checkpoint=saved, steps=10).checkpoint(0, 0.0)
        whole = trained(optimizer, padded=False, steps=20).checkpoint(0, 0.0)
        for name, tensor in whole["model"].items():
            torch.testing.assert_close(then["model"][name], tensor, rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("downsampling", ["convolution", "maxpool"])
def test_padded_network_gives_the_same_numbers(downsampling: str) -> None:
    odd = ODD.model_copy(update={"downsampling": downsampling, "stem_width": 7})
    model = build_network(odd, PRUNED, 3, seed=0).eval()
    padded = pad_network(model).eval()
    config = padded.config()
    assert config == padded_config(model.config()) != model.config()
    widths = {config.stem, *(width for stage in config.stages for b in stage for width in (b.inner, b.outer))}
    assert all(width % 8 == 0 for width in widths)
    images = torch.rand(4, 3, 8, 8)
    torch.testing.assert_close(F.softmax(padded(images), 1), F.softmax(model(images), 1))
