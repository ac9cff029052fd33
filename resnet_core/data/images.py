"""Labelled images in memory."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """`images` are `(N, 3, H, W) uint8` and `labels` `(N,) int64`, both on one device.

    `files` names the file of each, where they are from files.
    """

    images: Tensor
    labels: Tensor
    files: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Images":
        files = self.files and tuple(self.files[row] for row in index.tolist())
        return Images(self.images[index], self.labels[index], files)

    def to(self, device: torch.device) -> "Images":
        return Images(self.images.to(device), self.labels.to(device), self.files)


@dataclass(frozen=True)
class RawDataset:
    """A data set as its source has it. Its training and test images are never put together."""

    title: str
    classes: tuple[str, ...]
    train: Images
    test: Images


def channel_statistics(images: Images) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation `(3,) float32` of each channel, on a scale on which the byte 255 is 1.

    They follow from whole-number counts of the bytes, so that the order of the images changes nothing.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    statistics = []
    for channel in range(3):
        counts = torch.zeros(256, dtype=torch.int64)
        for part in images.images.split(8192):
            counts += torch.bincount(part[:, channel].flatten().cpu(), minlength=256)
        share = counts.double() / counts.sum()
        mean = (share * values).sum()
        statistics.append((mean, (share * (values - mean) ** 2).sum().sqrt()))
    means, deviations = zip(*statistics, strict=True)
    return torch.stack(means).float(), torch.stack(deviations).float().clamp(min=1e-3)
