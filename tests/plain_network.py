"""The same network of torch's own modules, to compare with."""

import copy

from torch import nn

from resnet_core.model import Convolution, ResNet


def plain_network(network: ResNet) -> ResNet:
    """A copy whose convolutions are torch's."""
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if isinstance(module, Convolution):
            module.__class__ = nn.Conv2d
    return plain
