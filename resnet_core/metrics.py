"""Accuracy and loss from logits."""

import math
import statistics
from collections.abc import Sequence

import torch
from scipy.special import stdtrit
from torch import Tensor
from torch.nn import functional as F

from resnet_core.scores import Metrics


def confusion_matrix(predictions: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Counts `(classes, classes)`, true classes in rows, from two tensors `(N,)`."""
    return torch.bincount(labels * classes + predictions, minlength=classes**2).view(classes, classes)


def compute_metrics(logits: Tensor, labels: Tensor) -> Metrics:
    """Metrics of logits `(N, classes)` against labels `(N,)`."""
    confusion = confusion_matrix(logits.argmax(dim=1), labels, logits.shape[1])
    hits, totals = confusion.diagonal().tolist(), confusion.sum(dim=1).tolist()
    return Metrics(
        images=len(labels),
        loss=F.cross_entropy(logits.float(), labels).item(),
        accuracy=sum(hits) / len(labels),
        accuracy_interval=wilson_interval(sum(hits), len(labels)),
        per_class_accuracy=[hit / total if total else None for hit, total in zip(hits, totals, strict=True)],
        confusion=confusion.tolist(),
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean and the ends of its 95 % interval by Student's t distribution. A single value has no interval."""
    mean, count = statistics.fmean(values), len(values)
    if count == 1:
        return mean, None, None
    half = float(stdtrit(count - 1, 0.975)) * statistics.stdev(values) / math.sqrt(count)
    return mean, mean - half, mean + half


def wilson_half_width(share: float, images: int) -> float:
    """Half of the 95 % interval of a share of so many images: by how much their number leaves it open."""
    low, high = wilson_interval(round(share * images), images)
    return (high - low) / 2


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927), which says how certain it is for so many images."""
    z = 1.959963984540054
    share, spread = hits / total, z**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return centre - half, centre + half
