"""The ResNet for small images, of any depth and width: ResNet-18's stages behind a 3x3 stem (He et al. 2016, 4.2)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_core.description import BlockConfig, NetworkConfig


class Projection(nn.Conv2d):
    """The 1x1 convolution of a shortcut.

    With fewer than 16 input channels it selects every `stride`-th pixel itself and then convolves without a stride:
    for so few channels, oneDNN's kernel for the gradient of a strided 1x1 convolution writes past its workspace
    (github.com/uxlfoundation/oneDNN/issues/6035).
    """

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__(channels, filters, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.in_channels < 16:
            rows, columns = self.stride
            return F.conv2d(x[:, :, ::rows, ::columns], self.weight)
        return super().forward(x)


class BatchNorm2d(nn.BatchNorm2d):
    """Torch's own, but that it leaves `num_batches_tracked` alone, which nothing here reads.

    Torch adds one to it in each layer and step. `count_batches` does that once an epoch, for all layers together.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )


class BasicBlock(nn.Module):
    def __init__(self, channels: int, config: BlockConfig) -> None:
        super().__init__()
        self.stride = config.stride
        stride = 1 if config.pooled else config.stride
        # rounded up, maps get the size that a convolution with this stride gives them
        self.pool: nn.Module = nn.MaxPool2d(config.stride, ceil_mode=True) if config.pooled else nn.Identity()
        self.conv1 = nn.Conv2d(channels, config.inner, 3, stride, padding=1, bias=False)
        self.norm1 = BatchNorm2d(config.inner)
        self.conv2 = nn.Conv2d(config.inner, config.outer, 3, padding=1, bias=False)
        self.norm2 = BatchNorm2d(config.outer)
        self.shortcut: nn.Module = nn.Identity()
        if config.projection:
            projection = Projection(channels, config.outer, stride)
            self.shortcut = nn.Sequential(projection, BatchNorm2d(config.outer))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.pool(self.conv1(x))), inplace=True)
        out = self.norm2(self.conv2(out)) + self.shortcut(self.pool(x))
        return F.relu(out, inplace=True)


class ResNet(nn.Module):
    """Maps images `(N, 3, H, W)` to logits `(N, classes)`.

    Convolutions are initialised as in He et al. 2015, by the number of their outputs (fan out); all else as torch does.
    """

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, config.stem, 3, padding=1, bias=False)
        self.norm = BatchNorm2d(config.stem)
        channels, stages = config.stem, []
        for stage in config.stages:
            blocks = []
            for block in stage:
                blocks.append(BasicBlock(channels, block))
                channels = block.outer
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, config.classes)
        for module in self.modules():
            # A tensor on the meta device has no values, and torch would import modules for 1.3 s to initialise it.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        x = self.stages(x)
        x = x.mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.dropout(x))
        return logits

    def blocks(self) -> Iterator[BasicBlock]:
        for module in self.modules():
            if isinstance(module, BasicBlock):
                yield module

    def config(self) -> NetworkConfig:
        """The widths as they are now, after pruning those that are left; read from the layers."""
        stages = tuple(
            tuple(
                BlockConfig(
                    inner=block.conv1.out_channels,
                    outer=block.conv2.out_channels,
                    stride=block.stride,
                    projection=not isinstance(block.shortcut, nn.Identity),
                    pooled=isinstance(block.pool, nn.MaxPool2d),
                )
                for block in stage.children()
                if isinstance(block, BasicBlock)
            )
            for stage in self.stages
        )
        return NetworkConfig(stem=self.stem.out_channels, stages=stages, classes=self.classifier.out_features)


def count_batches(network: nn.Module, batches: int) -> None:
    """Adds so many batches to those that every batch norm has seen."""
    norms = [module for module in network.modules() if isinstance(module, BatchNorm2d)]
    torch._foreach_add_([norm.num_batches_tracked for norm in norms], batches)


def copy_network(network: ResNet) -> ResNet:
    """A network with the same weights on the same device, in channels_last, for evaluation."""
    copy = empty_network(network.config(), network)
    copy.load_state_dict(network.state_dict())
    return copy.eval().requires_grad_(False)


def empty_network(config: NetworkConfig, like: ResNet) -> ResNet:
    """A network of these widths, with dropout, device and type of `like`, in channels_last.

    Its weights have no values yet, so that no random number is drawn for them.
    """
    with torch.device("meta"):
        network = ResNet(config, like.dropout.p)
    network.to(like.stem.weight.dtype).to_empty(device=like.stem.weight.device)
    return network.to(memory_format=torch.channels_last)


def example_input(size: int = 32) -> Tensor:
    """One black image `(1, 3, size, size)`, to run a network once with."""
    return torch.zeros(1, 3, size, size)
