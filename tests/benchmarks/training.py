"""Images a second of our training loop beside a plain one, measured in turn in one run.

    python tests/benchmarks/training.py [--device cuda] [--precision fp32] [--images 768] [--rounds 3] [--data FOLDER]

The plain loop is what a tutorial writes: a DataLoader with two workers, torchvision's transforms on PIL images
(crop, flip, AutoAugment, normalisation), fp32, the default memory format. Ours is `resnet_core.train.train` with
the same augmentation, optimizer and batch size. Both begin with warm-up batches that are not counted.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from resnet_core.build import build_network
from resnet_core.config import AugmentationConfig, DataConfig, ModelConfig, PruningConfig, TrainingConfig
from resnet_core.data import Images, channel_statistics, read_source
from resnet_core.device import describe, select_device, select_precision
from resnet_core.model import ResNet
from resnet_core.train import TrainingData, train

NETWORKS = {
    "ResNet-18": (ModelConfig(), PruningConfig()),
    "pruned": (
        ModelConfig(),
        PruningConfig(method="amounts", amounts=(0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3)),
    ),
    "layer4 removed": (ModelConfig(depths=(2, 2, 2), strides=(1, 2, 2)), PruningConfig()),
}
BATCH = 128
RECIPE = TrainingConfig(batch_size=BATCH, lr=0.01, augmentation=AugmentationConfig(policy="autoaugment"))


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, images: Images, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.pixels = images.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def plain_loop(model: nn.Module, data: TrainingData, device: torch.device) -> Callable[[], None]:
    """One epoch of the plain loop, ready to be called again and again."""
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10),
            transforms.ToTensor(),
            transforms.Normalize(data.mean.tolist(), data.std.tolist()),
        ]
    )
    images = Images(data.train.images.cpu(), data.train.labels.cpu())
    loader = DataLoader(
        PilImages(images, transform),
        batch_size=BATCH,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)

    losses: list[float] = []

    def epoch() -> None:
        model.train()
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    return epoch


def our_loop(model: ResNet, recipe: TrainingConfig, data: TrainingData) -> Callable[[], None]:
    def epoch() -> None:
        train(model, recipe, data, 1, seed=0)

    return epoch


def timed(epoch: Callable[[], None], device: torch.device) -> float:
    """Seconds of one call, the device's work included."""
    synchronize(device)
    started = time.perf_counter()
    epoch()
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def load_images(folder: Path | None, count: int) -> Images:
    """CIFAR-10 images from a folder, or random ones: the pixels do not change the work."""
    if folder is not None:
        raw = read_source(DataConfig(source="cifar10", path=str(folder)))
        return raw.train[torch.arange(count)]
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.randint(0, 10, (count,), generator=generator))


def measure(
    name: str, recipe: TrainingConfig, images: Images, warm_up: Images, device: torch.device, rounds: int
) -> Iterator[tuple[float, float]]:
    """Images a second of the plain loop and of ours, round after round."""
    model, pruning = NETWORKS[name]
    mean, std = (statistic.to(device) for statistic in channel_statistics(images))

    def data(part: Images) -> TrainingData:
        return TrainingData(part.to(device), None, mean, std)

    plain_model = build_network(model, pruning, 10, seed=0).to(device)
    our_model = build_network(model, pruning, 10, seed=0).to(device)
    plain_loop(plain_model, data(warm_up), device)()
    our_loop(our_model, recipe, data(warm_up))()
    plain, ours = plain_loop(plain_model, data(images), device), our_loop(our_model, recipe, data(images))
    used = len(images) // BATCH * BATCH
    for _ in range(rounds):
        yield used / timed(plain, device), used / timed(ours, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto", help="of our loop")
    parser.add_argument("--images", type=int, help="images an epoch; default: 768, on CUDA 45,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="folder with cifar-10-batches-bin; default: random images")
    options = parser.parse_args()
    device = select_device(options.device)
    images = load_images(options.data, options.images or (45_000 if device.type == "cuda" else 768))
    warm_up = images[torch.arange(2 * BATCH)]
    recipe = RECIPE.model_copy(update={"precision": options.precision})
    precision = str(select_precision(recipe.precision, device)).removeprefix("torch.")
    print(f"{describe(device)}; torch {torch.__version__}; {len(images)} images an epoch, batch {BATCH}")
    print(f"plain: DataLoader with 2 workers, PIL AutoAugment, fp32; ours: {precision}, channels_last")
    print(f"{'network':<16}{'parameters':>12}{'plain img/s':>14}{'ours img/s':>13}{'ratio':>8}  (median; min to max)")
    for name, (model, pruning) in NETWORKS.items():
        parameters = sum(p.numel() for p in build_network(model, pruning, 10, seed=0).parameters())
        rows = list(measure(name, recipe, images, warm_up, device, options.rounds))
        ratios = [ours / plain for plain, ours in rows]
        plain, ours, ratio = (statistics.median(v) for v in (*zip(*rows, strict=True), ratios))
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:<16}{parameters:>12,}{plain:>14.1f}{ours:>13.1f}{ratio:>8.2f}  {spread}", flush=True)


if __name__ == "__main__":
    main()
