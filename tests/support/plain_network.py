"""The network written anew from torch's own modules, to compare with."""

from torch import Tensor, nn
from torch.nn import functional as F

from resnet_core.model import BlockConfig, NetworkConfig, Projection, ResNet


def plain_network(network: ResNet) -> "PlainNetwork":
    """A copy, without its dropout."""
    plain = PlainNetwork(network.config()).to(network.classifier.weight.device)
    plain.load_state_dict(network.state_dict())
    return plain


class PlainNetwork(nn.Module):
    """The same function as a `ResNet` of the same widths, with the same names of its weights."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, config.stem, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(config.stem)
        channels, stages = config.stem, []
        for stage in config.stages:
            blocks = []
            for block in stage:
                blocks.append(PlainBlock(channels, block))
                channels = block.outer
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels, config.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(F.relu(self.norm(self.stem(x)), inplace=True))
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits


class PlainBlock(nn.Module):
    def __init__(self, channels: int, config: BlockConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, config.inner, 3, config.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(config.inner)
        self.conv2 = nn.Conv2d(config.inner, config.outer, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(config.outer)
        self.shortcut: nn.Module = nn.Identity()
        if config.projection:  # torch's own is wrong for few channels
            projection = Projection(channels, config.outer, config.stride)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(config.outer))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        out = self.norm2(self.conv2(out)) + self.shortcut(x)
        return F.relu(out, inplace=True)
