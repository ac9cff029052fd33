"""Networks whose widths are padded with channels of zeros, for GPUs.

Pruning leaves odd widths, 53 or 205, for which tensor cores need several times as long as for the next multiple of 8.
A padded channel has weights of zero before and behind it and a batch norm that multiplies by zero. It therefore gives
zero and gets gradients of zero, so that its weights stay zero whatever the optimizer: the network computes the same.
"""

import torch
from torch import Tensor

from resnet_core.description import NetworkConfig
from resnet_core.model import ResNet, empty_network

MULTIPLE = 8  # of channels, in bfloat16 (NVIDIA: Tensor Core requirements of cuDNN and cuBLAS)


def padded_config(config: NetworkConfig) -> NetworkConfig:
    """The widths rounded up to multiples of 8; the number of classes stays."""

    def up(width: int) -> int:
        return -(-width // MULTIPLE) * MULTIPLE

    stages = tuple(
        tuple(block.model_copy(update={"inner": up(block.inner), "outer": up(block.outer)}) for block in stage)
        for stage in config.stages
    )
    return config.model_copy(update={"stem": up(config.stem), "stages": stages})


def pad_network(network: ResNet) -> ResNet:
    """A network with padded widths and the same weights, to be trained."""
    padded = empty_network(padded_config(network.config()), network)
    values = network.state_dict()
    for name, tensor in padded.state_dict().items():  # detached, so that no gradient knows of it
        tensor.copy_(pad(values[name], tensor))
    return padded


def pad(tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor in the first corner of zeros with the shape and the memory format of `like`.

    Optimizers that update all parameters at once need what they keep of a parameter in its memory format.
    """
    padded = torch.zeros_like(like, dtype=tensor.dtype, device=tensor.device)
    cut(padded, tensor.shape).copy_(tensor)
    return padded


def cut(tensor: Tensor, shape: torch.Size) -> Tensor:
    """The first corner of a tensor, of this shape."""
    return tensor[tuple(slice(0, length) for length in shape)] if tensor.shape != shape else tensor
