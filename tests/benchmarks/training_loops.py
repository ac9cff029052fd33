"""The plain loop, ours beside it, and how much of the device's arithmetic ours gets."""

import statistics
from collections.abc import Callable, Iterator

import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from resnet_core.batches import TrainingData
from resnet_core.data import Images
from resnet_core.model import ResNet
from resnet_core.train import train
from tests.benchmarks.training_arithmetic import product_rate
from tests.benchmarks.training_setup import BATCH, NETWORKS, Bench, flops, print_table
from tests.support.plain_network import plain_network


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, images: Images, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.pixels = images.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def plain_loop(network: ResNet, data: TrainingData, device: torch.device) -> Callable[[], None]:
    """One epoch of the plain loop, ready to be called again and again."""
    model = plain_network(network)
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


def our_epoch(bench: Bench, model: ResNet, data: TrainingData) -> float:
    """Seconds of the second of two epochs; the first takes from the system what memory the others keep."""
    seconds: list[float] = []
    train(model, bench.recipe, data, 2, seed=0, on_epoch=lambda result, _: seconds.append(result.seconds))
    return seconds[-1]


def run(bench: Bench) -> None:
    peak = product_rate(bench.device, bench.precision)
    print(
        f"\nPlain: DataLoader with 2 workers, PIL AutoAugment, fp32. Ours: {bench.precision}, channels_last. FLOPs: six "
        f"a multiply-accumulate of convolutions and classifier; the share is of the {peak / 1e9:,.0f} GFLOP/s that a "
        "product of two large matrices reaches.\n"
    )
    head = ["network", "parameters", "plain images/s", "ours images/s", "ratio (min to max)", "GFLOP/s", "share"]
    print_table(head, (_row(bench, name, peak) for name in NETWORKS))


def _row(bench: Bench, name: str, peak: float) -> list[str]:
    network = bench.network(name)
    rows = list(_measure(bench, name))
    ratios = [ours / plain for plain, ours in rows]
    plain, ours = (statistics.median(rates) for rates in zip(*rows, strict=True))
    reached = ours * flops(network)
    return [
        name,
        f"{sum(parameter.numel() for parameter in network.parameters()):,}",
        f"{plain:,.1f}",
        f"{ours:,.1f}",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{reached / 1e9:,.0f}",
        f"{reached / peak:.0%}",
    ]


def _measure(bench: Bench, name: str) -> Iterator[tuple[float, float]]:
    """Images a second of the plain loop and of ours, round after round, each in an epoch after another."""
    network, data = bench.network(name), bench.data()
    plain = plain_loop(bench.network(name), data, bench.device)
    plain()
    for _ in range(bench.rounds):
        yield bench.used / bench.timed(plain), bench.used / our_epoch(bench, network, data)
