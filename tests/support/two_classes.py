"""A small data set and network with which a training takes a second, and a recipe that uses everything."""

from typing import Any

import torch
from torch import Tensor

from resnet_core.batches import TrainingData
from resnet_core.config import AugmentationConfig, ModelConfig, ScheduleConfig, TrainingConfig
from resnet_core.data import Images

MODEL = ModelConfig(depths=(1, 1), width=8, strides=(1, 2))
EVERYTHING = TrainingConfig(
    optimizer="sgd",
    lr=0.05,
    batch_size=16,
    dropout=0.2,
    label_smoothing=0.1,
    ema=0.9,
    clip_norm=1.0,
    schedule=ScheduleConfig(warmup_epochs=0.5),
    augmentation=AugmentationConfig(policy="trivialaugment", erasing=0.3, mixup=0.2, cutmix=1.0),
)


def two_classes(validation: int = 40) -> TrainingData:
    """Two classes that differ in brightness: 100 images to train on, and some to validate."""
    count, generator = 100 + validation, torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    pixels = torch.randint(0, 120, (count, 3, 16, 16), generator=generator) + labels[:, None, None, None] * 60
    images = Images(pixels.to(torch.uint8), labels)
    parts = images[torch.arange(100)], images[torch.arange(100, count)]
    return TrainingData(*parts, mean=torch.full((3,), 0.35), std=torch.full((3,), 0.2))


def copied(value: Any) -> Any:
    """A checkpoint, say, that the training no longer changes."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value
