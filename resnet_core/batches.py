"""The batches of one epoch: shuffled, augmented, normalised and mixed on the device, many at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_core.augment import EpochPlan, Mixing, normalize
from resnet_core.augment.sent_plan import SentPlan, send
from resnet_core.config import TrainingConfig
from resnet_core.data import Images, limit_images
from resnet_core.distributed import ALONE, Group, own_rows

# The most that the images of a chunk take, in bytes. On a GPU an epoch of CIFAR-10 is one chunk: the work is the same
# for the device, however it is divided, but every operation costs the same time to launch.
CHUNK_BYTES = {"cpu": 48 * 2**20, "cuda": 640 * 2**20}


@dataclass(frozen=True)
class TrainingData:
    """Images on the training device. `mean` and `std` are `(3,)`, on a scale on which the byte 255 is 1."""

    train: Images
    validation: Images | None
    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class Chunk:
    """K batches of B images: `images` is `(K, B, H, W, 3)`, `labels` `(K, B)`.

    Where images are mixed, `other_labels` and `weight` are `(K, B)`, as in `Mixing`.
    """

    images: Tensor
    labels: Tensor
    other_labels: Tensor | None
    weight: Tensor | None

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: int) -> tuple[Tensor, Tensor, Mixing | None]:
        """Images `(B, 3, H, W)` in channels_last, labels `(B,)`, and how the images are mixed."""
        images = self.images[index].permute(0, 3, 1, 2)
        if self.other_labels is None or self.weight is None:
            return images, self.labels[index], None
        return images, self.labels[index], Mixing(self.other_labels[index], self.weight[index])


@dataclass(frozen=True)
class EpochBatches:
    """One epoch whose random choices are drawn. Each rank of a group draws the same and gets its part of every batch.

    Images that do not fill the last batch are left out, in each epoch different ones.
    """

    data: TrainingData
    order: Tensor
    plan: SentPlan
    batch_size: int
    own: slice
    chunk_batches: int
    dtype: torch.dtype

    @classmethod
    def draw(
        cls,
        data: TrainingData,
        recipe: TrainingConfig,
        seed: int,
        epoch: int,
        group: Group = ALONE,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Epoch number `epoch` of the training with this seed.

        `dtype` is that of the images; a network that computes in bfloat16 would round them to it anyway.
        """
        rng = np.random.default_rng([seed, epoch])
        device, size, batch_size = data.train.images.device, data.train.images.shape[-1], recipe.batch_size
        steps = len(data.train) // batch_size
        rows = rng.permutation(len(data.train))[: steps * batch_size]
        alternating = _mirrored(len(data.train), seed, epoch)[rows] if recipe.augmentation.alternating_flip else None
        plan = EpochPlan.draw(recipe.augmentation, len(rows), size, rng, alternating=alternating)
        own = slice(None)
        if group.size > 1:
            mine = own_rows(group, steps, batch_size)
            rows, plan, own = rows[mine], plan.take(mine), slice(1, None)
            batch_size = len(mine) // steps
        image_bytes = 3 * size * size * torch.float32.itemsize  # in which images are normalised and mixed
        chunk_batches = min(max(CHUNK_BYTES[device.type] // (image_bytes * batch_size), 1), steps)
        sent = plan.send(device, chunk_batches * batch_size)
        return cls(data, send(rows, device), sent, batch_size, own, chunk_batches, dtype)

    def chunks(self, first: int = 0) -> Iterator[tuple[int, Chunk]]:
        """The chunks from the one on that batch `first` is in, each with the number of its first batch."""
        step = self.chunk_batches * self.batch_size
        for start in range(first // self.chunk_batches * step, len(self.order), step):
            yield start // self.batch_size, self._chunk(start, self.order[start : start + step])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Mixing | None]]:
        """All batches, as `Chunk.batch` gives them."""
        for _, chunk in self.chunks():
            yield from (chunk.batch(index) for index in range(len(chunk)))

    def _chunk(self, start: int, rows: Tensor) -> Chunk:
        size, labels = self.batch_size, self.data.train.labels.index_select(0, rows)
        images = self.plan.transform(self.data.train.images.index_select(0, rows), start)
        images = normalize(images, self.data.mean, self.data.std)
        images, mixing = self.plan.finish(images, labels, start, size)
        images = images.to(self.dtype).permute(0, 2, 3, 1).unflatten(0, (-1, size))[:, self.own].contiguous()

        def divided(values: Tensor) -> Tensor:
            return values.view(-1, size)[:, self.own]

        if mixing is None:
            return Chunk(images, divided(labels), None, None)
        return Chunk(images, divided(labels), divided(mixing.labels), divided(mixing.weight))


def _mirrored(images: int, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Which images are mirrored in this epoch if each is in every second one: half of them in the first, by chance."""
    first = np.random.default_rng([seed]).random(images) < 0.5
    return first if epoch % 2 else ~first


def balanced_batch(data: TrainingData, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """`size` images, taken evenly from the classes, normalised `(size, 3, H, W)`, and their labels `(size,)`.

    Both are on the CPU. The first rows would not do, because the images of a folder are sorted by class.
    """
    chosen = limit_images(data.train, min(size, len(data.train)), seed, "training.batchSize")
    return normalize(chosen.images, data.mean, data.std).cpu(), chosen.labels.cpu()
