"""Parameters and multiply-accumulates of a network, layer by layer, and the budget for its parameters."""

import re
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from resnet_core.description import NetworkConfig
from resnet_core.model import ResNet, example_input


class BudgetExceeded(ValueError):
    """The network has more parameters than it may."""

    def __init__(self, parameters: int, budget: int) -> None:
        self.excess = parameters - budget
        super().__init__(
            f"budget.parameters={budget:,}: the network has {parameters:,} parameters, {self.excess:,} too many"
        )


@dataclass(frozen=True)
class LayerCount:
    """A convolution with its batch norm, or the classifier.

    `filters` are output channels, `macs` multiply-accumulates for one image.
    """

    name: str
    filters: int
    parameters: int
    macs: int

    @property
    def title(self) -> str:
        """Its name for people: `stage 2, block 1, shortcut` for `stages.1.0.shortcut.0`."""
        found = re.fullmatch(r"stages\.(\d+)\.(\d+)\.([a-z]+)(\d*)(?:\.0)?", self.name)
        if found is None:
            return self.name
        stage, block, kind, number = found.groups()
        layer = f"convolution {number}" if kind == "conv" else kind
        return f"stage {int(stage) + 1}, block {int(block) + 1}, {layer}"


@lru_cache(maxsize=256)
def count_parameters(config: NetworkConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ResNet(config).parameters())


def count_macs(config: NetworkConfig, size: int = 32) -> int:
    """Multiply-accumulates of convolutions and classifier for one image of `size` x `size` pixels."""
    return sum(layer.macs for layer in count_layers(config, size))


def count_layers(config: NetworkConfig, size: int = 32) -> list[LayerCount]:
    """The layers in the order of the forward pass; their parameters add up to the network's."""
    with torch.device("meta"):
        model = ResNet(config)
    names = {module: name for name, module in model.named_modules()}
    layers: list[LayerCount] = []

    def record(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in module.parameters())
        if isinstance(module, nn.BatchNorm2d):  # always directly after its convolution
            conv = layers.pop()
            layers.append(LayerCount(conv.name, conv.filters, conv.parameters + parameters, conv.macs))
            return
        assert isinstance(module, nn.Conv2d | nn.Linear)
        positions = output[0, 0].numel()
        layers.append(LayerCount(names[module], output.shape[1], parameters, module.weight.numel() * positions))

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            module.register_forward_hook(record)
    model(example_input(size).to("meta"))
    return layers


def check_budget(config: NetworkConfig, budget: int) -> int:
    """Returns the number of parameters.

    Raises:
        BudgetExceeded: there are more of them than `budget`.

    """
    parameters = count_parameters(config)
    if parameters > budget:
        raise BudgetExceeded(parameters, budget)
    return parameters
