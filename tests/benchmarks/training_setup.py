"""What the parts of `training.py` share: networks, recipe, images, clock, tables."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from resnet_core.arithmetic_choice import choose_arithmetic
from resnet_core.batches import TrainingData
from resnet_core.build import build_network
from resnet_core.config import AugmentationConfig, DataConfig, ModelConfig, PruningConfig, TrainingConfig
from resnet_core.count import count_macs
from resnet_core.data import Images, channel_statistics, read_source
from resnet_core.description import NetworkConfig
from resnet_core.model import ResNet

PRUNED = PruningConfig(method="amounts", amounts=(0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3))
NETWORKS = {
    "ResNet-18": (ModelConfig(), PruningConfig()),
    "pruned": (ModelConfig(), PRUNED),
    "layer4 removed": (ModelConfig(depths=(2, 2, 2), strides=(1, 2, 2)), PruningConfig()),
}
BATCH = 128
RECIPE = TrainingConfig(batch_size=BATCH, lr=0.01, augmentation=AugmentationConfig(policy="autoaugment"))
FLOPS_A_MAC = 6  # of a training step: two in the forward pass, four in the backward pass


@dataclass(frozen=True)
class Bench:
    """A device, and so many images on the CPU."""

    device: torch.device
    recipe: TrainingConfig
    images: Images
    rounds: int

    @property
    def precision(self) -> torch.dtype:
        """In which a training of ResNet-18 computes here."""
        size, config = self.images.images.shape[-1], NetworkConfig.from_model(ModelConfig(), 10)
        return choose_arithmetic(self.recipe.precision, config, size, BATCH, self.device).precision

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def used(self) -> int:
        """Images of an epoch, those of the last, incomplete batch left out."""
        return len(self.images) // BATCH * BATCH

    def data(self, count: int | None = None) -> TrainingData:
        """The first so many images on the device."""
        mean, std = (statistic.to(self.device) for statistic in channel_statistics(self.images))
        return TrainingData(self.images[torch.arange(count or len(self.images))].to(self.device), None, mean, std)

    def network(self, name: str) -> ResNet:
        return self.built(*NETWORKS[name])

    def built(self, model: ModelConfig, pruning: PruningConfig) -> ResNet:
        return build_network(model, pruning, 10, seed=0).to(self.device)

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds of one call, the device's work included."""
        self._synchronize()
        started = time.perf_counter()
        work()
        self._synchronize()
        return time.perf_counter() - started

    def _synchronize(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def flops(network: ResNet) -> int:
    """Of training on one image, convolutions and classifier alone."""
    return FLOPS_A_MAC * count_macs(network.config())


def load_images(folder: Path | None, count: int) -> Images:
    """CIFAR-10 images from a folder, or random ones: the pixels do not change the work."""
    if folder is not None:
        raw = read_source(DataConfig(source="cifar10", path=str(folder)))
        return raw.train[torch.arange(count)]
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.randint(0, 10, (count,), generator=generator))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Row by row, as they come: each can take minutes."""
    print(f"| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()
