"""A network as an experiment describes it, initialised and pruned."""

import torch
from torch import Tensor

from resnet_core.config import ModelConfig, PruningConfig
from resnet_core.description import NetworkConfig
from resnet_core.model import ResNet
from resnet_core.pruning import planned_config, prune
from resnet_core.seeds import derive_seed
from resnet_core.validation import shown
from resnet_core.whitening import whiten


def planned_network(model: ModelConfig, pruning: PruningConfig, classes: int) -> NetworkConfig:
    """The description of the network that `build_network` makes, without making it.

    Raises:
        TargetOutOfReach: pruning cannot leave so few parameters.

    """
    return planned_config(NetworkConfig.from_model(model, classes), pruning)


def check_strides(model: ModelConfig, size: int) -> None:
    """Makes sure that no stage makes maps smaller than a pixel, of images with `size` pixels on a side.

    Raises:
        ValueError: one does. Its convolutions would leave out pixels, or compute from padding alone.

    """
    side = size
    for stage, stride in enumerate(model.strides):
        if stride > side:
            raise ValueError(
                f"model.strides.{stage}={stride}: at most {side} expected, as images of {size} pixels a side are "
                f"{side} x {side} pixels there; model.strides are {shown(list(model.strides))}"
            )
        side = -(-side // stride)


def build_network(
    model: ModelConfig,
    pruning: PruningConfig,
    classes: int,
    *,
    dropout: float = 0.0,
    seed: int,
    batch: tuple[Tensor, Tensor] | None = None,
) -> ResNet:
    """The pruned network, on the CPU, and the same one for the same seed.

    Args:
        model: its depths, widths and strides before pruning.
        pruning: how channels are removed.
        classes: how many logits it has.
        dropout: probability, before the classifier.
        seed: of the initial weights, and of random pruning.
        batch: normalised images `(N, 3, H, W)` and labels `(N,)`, for Taylor importance and a whitening stem.

    Raises:
        ValueError: there is no batch, and the network needs one.

    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initialisation"))
        network = ResNet(NetworkConfig.from_model(model, classes), dropout)
    if model.stem_init == "whitening":
        if batch is None:
            raise ValueError("model.stemInit=whitening: needs a batch of training images")
        whiten(network.stem, batch[0])
    prune(network, pruning, seed=derive_seed(seed, "pruning"), batch=batch)
    return network
