"""An epoch's choices on the device, and what a chunk of images becomes by them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from resnet_core.augment.policies import PolicyDraw
from resnet_core.augment.rectangles import mask
from resnet_core.augment.tables import Tables, build_tables
from resnet_core.config import PaddingMode


@dataclass(frozen=True)
class Mixing:
    """The second label of each mixed image `(M,)`, and the weight of its first label `(M,)`."""

    labels: Tensor
    weight: Tensor


@dataclass(frozen=True)
class SentPolicy:
    """Which operations the images of each chunk get.

    In each layer the images of a chunk are sorted by kind of operation, and each kind runs once.
    """

    tables: Tables
    chunk: int
    # (L + 1, N) places in a chunk: how its images are moved from the epoch's order to that of the first layer, from one
    # layer's order to the next one's, and from the last one's back to the epoch's.
    moves: Tensor
    rows: Tensor  # (L, N) in the table of the kind, in the order of the layer
    counts: list[list[list[int]]]  # the images of each kind, in each chunk and layer

    @classmethod
    def sort(cls, drawn: PolicyDraw, size: int, device: torch.device, chunk: int) -> Self:
        tables = build_tables(drawn.settings, size, device)
        moves, rows, counts = [], [], []
        for start in range(0, drawn.layers.shape[1], chunk):
            settings = drawn.layers[:, start : start + chunk]
            kinds = tables.kind[settings]
            orders = np.argsort(kinds, axis=1, kind="stable")
            places = np.argsort(orders, axis=1)
            between = np.take_along_axis(places[:-1], orders[1:], axis=1)
            moves.append(np.concatenate((orders[:1], between, places[-1:])))
            rows.append(np.take_along_axis(tables.row[settings], orders, axis=1))
            counts.append([np.bincount(layer, minlength=len(tables.kinds)).tolist() for layer in kinds])
        sent_moves, sent_rows = (send(np.concatenate(chunks, axis=1), device) for chunks in (moves, rows))
        return cls(tables, chunk, sent_moves, sent_rows, counts)

    def apply(self, images: Tensor, part: slice) -> Tensor:
        assert part.start % self.chunk == 0
        moves, rows, counts = self.moves[:, part], self.rows[:, part], self.counts[part.start // self.chunk]
        for move, layer, numbers in zip(moves[:-1], rows, counts, strict=True):
            sorted_images = images.index_select(0, move).split(numbers)
            runs = zip(self.tables.kinds, sorted_images, layer.split(numbers), strict=True)
            done = [kind.apply(own, kind.table.index_select(0, row)) for kind, own, row in runs if len(row)]
            images = torch.cat(done)
        return images.index_select(0, moves[-1])


@dataclass(frozen=True)
class SentPlan:
    """An `EpochPlan` on the device. Nothing is sent or waited for when its methods are called."""

    size: int
    padding: int
    padding_mode: PaddingMode
    offsets: Tensor | None  # (N, 2)
    flips: Tensor | None  # (N,) bool
    policy: SentPolicy | None
    erased: Tensor | None  # (N, 4)
    cuts: Tensor | None  # (N, 4)
    weight: Tensor | None  # (N,) float32

    def transform(self, images: Tensor, start: int) -> Tensor:
        """Crops, flips and applies the policy to a chunk of images `(M, 3, H, W) uint8`; the first is number `start`.

        `start` is a multiple of the plan's chunk, and the chunk is complete unless the epoch ends.
        """
        part = slice(start, start + len(images))
        images = self._crop_and_flip(images, part)
        return images if self.policy is None else self.policy.apply(images, part)

    def finish(self, images: Tensor, labels: Tensor, start: int, batch: int) -> tuple[Tensor, Mixing | None]:
        """Erases and mixes normalised images `(M, 3, H, W)`, the first of which is number `start`.

        They are one or more batches of `batch` images. An erased region gets the channel's mean, 0. Each image is mixed
        with its predecessor in the batch, and the first with the last, by mixup (Zhang et al. 2018) or cutmix (Yun et
        al. 2019).
        """
        part = slice(start, start + len(images))
        if self.erased is not None:
            images = images.masked_fill(mask(self.erased[part], self.size), 0)
        if self.weight is None or self.cuts is None:
            return images, None
        weight, cuts = self.weight[part], self.cuts[part]
        own = torch.where((cuts[:, 2:] > 0).all(dim=1), 1.0, weight)[:, None, None, None]
        own = own.masked_fill(mask(cuts, self.size), 0)
        return _predecessors(images, batch).lerp_(images, own), Mixing(_predecessors(labels, batch), weight)

    def _crop_and_flip(self, images: Tensor, part: slice) -> Tensor:
        if self.offsets is None and self.flips is None:
            return images
        rows = columns = torch.arange(self.size, device=images.device)[None]
        if self.flips is not None:
            columns = torch.where(self.flips[part, None], self.size - 1 - columns, columns)
        if self.offsets is not None:
            offsets = self.offsets[part]
            rows, columns = rows + offsets[:, :1], columns + offsets[:, 1:]
            if self.padding_mode == "reflect":
                rows, columns = (_reflected(places - self.padding, self.size) for places in (rows, columns))
            else:
                images = F.pad(images, (self.padding,) * 4)
        sources = rows[:, :, None] * images.shape[-1] + columns[:, None, :]  # (M, H, W)
        pixels = images.flatten(2).gather(2, sources.flatten(1)[:, None].expand(-1, 3, -1))
        return pixels.view(-1, 3, self.size, self.size)


def _reflected(places: Tensor, size: int) -> Tensor:
    """Rows or columns of an image that goes on beyond its border as in a mirror, as those of the image itself."""
    places = places.abs() % (2 * size - 2)
    return torch.minimum(places, 2 * size - 2 - places)


def send(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """The array on the device. A GPU gets it while the CPU goes on, and before what is computed with it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _predecessors(values: Tensor, batch: int) -> Tensor:
    """For each of the values `(M, ...)` the one before it in its batch, and for the first one the last."""
    return values.view(-1, batch, *values.shape[1:]).roll(1, 1).flatten(0, 1)
