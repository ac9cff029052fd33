"""Stratified, seeded selections: every class keeps its share."""

import numpy as np
import torch
from torch import Tensor

from resnet_core.data.images import Images


def split(images: Images, fraction: float, seed: int, limit: int | None = None) -> tuple[Images, Images]:
    """Training and validation images; `fraction` of each class validates, at least one image and not all.

    With `limit` only so many images are divided, taken evenly over the classes.

    Raises:
        ValueError: `limit` is more than there is, or a class has, or is left with, fewer than two images.

    """
    if limit is not None:
        images = limit_images(images, limit, seed, "data.limit")
    train, validation = [], []
    for label, members in _shuffled_classes(images.labels, seed):
        if len(members) < 2:
            setting = f"data.validation={fraction:g}" if limit is None else f"data.limit={limit}"
            raise ValueError(
                f"{setting}: class {label} has {len(members)} image, two needed: one to train on, one to validate"
            )
        held_out = min(max(round(len(members) * fraction), 1), len(members) - 1)
        validation.append(members[:held_out])
        train.append(members[held_out:])
    return images[_sorted(train)], images[_sorted(validation)]


def limit_images(images: Images, limit: int, seed: int, key: str) -> Images:
    """`limit` of the images, evenly over the classes; `key` is the setting that asks for it."""
    if limit > len(images):
        raise ValueError(f"{key}={limit}: at most {len(images)}, the images there are")
    classes = _shuffled_classes(images.labels, seed)
    # Rank 0 of every class comes first, then rank 1, …: the first `limit` differ by one image a class at most.
    ranks = np.concatenate([np.arange(len(members)) for _, members in classes])
    members = np.concatenate([members for _, members in classes])
    return images[_sorted([members[np.argsort(ranks, kind="stable")[:limit]]])]


def _shuffled_classes(labels: Tensor, seed: int) -> list[tuple[int, np.ndarray]]:
    values, rng = labels.cpu().numpy(), np.random.default_rng(seed)
    return [(int(label), rng.permutation(np.flatnonzero(values == label))) for label in np.unique(values)]


def _sorted(parts: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.sort(np.concatenate(parts)))
