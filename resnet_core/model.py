"""The CIFAR ResNet (He et al. 2016, section 4.2's 3x3 stem with ResNet-18's stages), of any depth and width."""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_core import batch_norm, winograd
from resnet_core.config import Config, ModelConfig, PositiveInt


class BlockConfig(Config):
    """Widths of one basic block; `projection` says whether its shortcut is a 1x1 convolution or the identity."""

    inner: PositiveInt
    outer: PositiveInt
    stride: PositiveInt
    projection: bool


class NetworkConfig(Config):
    """Every width of a network, pruned or not: enough to build it again."""

    stem: PositiveInt
    stages: tuple[tuple[BlockConfig, ...], ...] = Field(min_length=1)
    classes: PositiveInt

    @classmethod
    def from_model(cls, model: ModelConfig, classes: int) -> "NetworkConfig":
        """The network before pruning. A block whose size or stride changes gets a projection (option B)."""
        width = model.stage_widths[0]
        stages = []
        for depth, outer, stride in zip(model.depths, model.stage_widths, model.strides, strict=True):
            first = BlockConfig(inner=outer, outer=outer, stride=stride, projection=stride != 1 or width != outer)
            rest = BlockConfig(inner=outer, outer=outer, stride=1, projection=False)
            stages.append((first, *(rest,) * (depth - 1)))
            width = outer
        return cls(stem=model.stage_widths[0], stages=tuple(stages), classes=classes)

    @property
    def features(self) -> int:
        """Channels that the classifier reads."""
        return self.stages[-1][-1].outer


class Projection(nn.Conv2d):
    """The 1x1 convolution of a shortcut.

    With fewer than 16 channels it picks the strided pixels itself: there oneDNN's kernel for the gradient of a
    strided 1x1 convolution writes past its workspace (github.com/uxlfoundation/oneDNN/issues/6035).
    """

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__(channels, filters, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.in_channels < 16:
            rows, columns = self.stride
            return F.conv2d(x[:, :, ::rows, ::columns], self.weight)
        return super().forward(x)


class Convolution(nn.Conv2d):
    """A 3x3 convolution of a block; where it pays in training, with fewer multiplications.

    Evaluation is torch's own everywhere, so that two machines differ as little as they can.
    """

    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__(channels, filters, 3, stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.stride == (1, 1) and winograd.pays(x, self.weight):
            return winograd.conv2d(x, self.weight)
        return super().forward(x)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm; where it pays in training, by groups of pixels."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        if self.training and batch_norm.pays(x):
            self.num_batches_tracked.add_(1)
            return batch_norm.batch_norm(
                x, self.weight, self.bias, self.running_mean, self.running_var, self.momentum, self.eps
            )
        return super().forward(x)


class BasicBlock(nn.Module):
    def __init__(self, channels: int, config: BlockConfig) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, config.inner, config.stride)
        self.norm1 = BatchNorm(config.inner)
        self.conv2 = Convolution(config.inner, config.outer)
        self.norm2 = BatchNorm(config.outer)
        self.shortcut: nn.Module = nn.Identity()
        if config.projection:
            self.shortcut = nn.Sequential(Projection(channels, config.outer, config.stride), BatchNorm(config.outer))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        out = self.norm2(self.conv2(out)) + self.shortcut(x)
        return F.relu(out, inplace=True)


class ResNet(nn.Module):
    """Maps images `(N, 3, H, W)` to logits `(N, classes)`.

    Convolutions start from He et al. 2015 (fan out, as in the ResNet paper's successors); the rest as in torch.
    """

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, config.stem, 3, 1, 1, bias=False)
        self.norm = BatchNorm(config.stem)
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
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # whose imports would be 1.3 s
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
        """The widths as they are now, read from the layers: after pruning, those that are left."""
        stages = tuple(
            tuple(
                BlockConfig(
                    inner=block.conv1.out_channels,
                    outer=block.conv2.out_channels,
                    stride=block.conv1.stride[0],
                    projection=not isinstance(block.shortcut, nn.Identity),
                )
                for block in stage.children()
                if isinstance(block, BasicBlock)
            )
            for stage in self.stages
        )
        return NetworkConfig(stem=self.stem.out_channels, stages=stages, classes=self.classifier.out_features)


def example_input(size: int = 32) -> Tensor:
    """One black image `(1, 3, size, size)`, to trace a network with."""
    return torch.zeros(1, 3, size, size)
