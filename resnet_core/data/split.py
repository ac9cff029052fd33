"""Seeded selections of images that keep the share of every class."""

import numpy as np
import torch
from torch import Tensor

from resnet_core.data.images import Images


def split(images: Images, fraction: float, seed: int, limit: int | None = None) -> tuple[Images, Images]:
    """Training and validation images. Of each class `fraction` is for validation, but at least one image and not all.

    With `limit` only so many images are divided, which are taken evenly from the classes.

    Raises:
        ValueError: there are fewer images than `limit`, or there are fewer than two of a class.

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
    """So many images, taken evenly from the classes. Errors name `key`, the setting that `limit` is from."""
    if limit > len(images):
        raise ValueError(f"{key}={limit}: at most {len(images)}, the images there are")
    classes = _shuffled_classes(images.labels, seed)
    # The first image of every class, then the second of every class, and so on: among the first `limit` of these, the
    # numbers of images in two classes differ by one at most.
    ranks = np.concatenate([np.arange(len(members)) for _, members in classes])
    members = np.concatenate([members for _, members in classes])
    return images[_sorted([members[np.argsort(ranks, kind="stable")[:limit]]])]


def _shuffled_classes(labels: Tensor, seed: int) -> list[tuple[int, np.ndarray]]:
    values, rng = labels.cpu().numpy(), np.random.default_rng(seed)
    return [(int(label), rng.permutation(np.flatnonzero(values == label))) for label in np.unique(values)]


def _sorted(parts: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.sort(np.concatenate(parts)))
