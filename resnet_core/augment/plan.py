"""All random choices of one epoch. They are drawn at once and applied batch by batch."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from resnet_core.augment.policies import PolicyDraw, Setting, draw_autoaugment, draw_trivialaugment
from resnet_core.augment.rectangles import draw_cutmix, draw_erasing, mask
from resnet_core.config import AugmentationConfig


@dataclass(frozen=True)
class Mixing:
    """The second label of each mixed image `(N,)`, and the weight of its first label `(N,)`."""

    labels: Tensor
    weight: Tensor


@dataclass(frozen=True)
class EpochPlan:
    """What happens to each image of an epoch, in the order of the epoch, whatever batches it is divided into.

    The choices are drawn on the CPU, and those of the whole epoch are copied to the device together.
    """

    size: int
    padding: int
    offsets: Tensor | None  # (N, 2) top and left of the crop in the padded image
    flips: Tensor | None  # (N,) bool
    policy: PolicyDraw | None
    erased: Tensor | None  # (N, 4)
    cuts: Tensor | None  # (N, 4), empty rectangles where the image is mixed by mixup
    weight: Tensor | None  # (N,) the share that the image itself keeps in a mix

    @classmethod
    def draw(
        cls, config: AugmentationConfig, n: int, size: int, rng: np.random.Generator, device: torch.device
    ) -> Self:
        """Choices for `n` images of `size` x `size` pixels."""
        offsets = flips = policy = erased = None
        if config.crop_padding:
            offsets = torch.from_numpy(rng.integers(2 * config.crop_padding + 1, size=(n, 2))).to(device)
        if config.flip:
            flips = torch.from_numpy(rng.random(n) < 0.5).to(device)
        if config.policy == "autoaugment":
            policy = draw_autoaugment(n, size, rng)
        elif config.policy == "trivialaugment":
            policy = draw_trivialaugment(n, rng)
        if config.erasing:
            erased = torch.from_numpy(draw_erasing(n, size, config.erasing, rng)).to(device)
        cuts, weight = _draw_mixing(config, n, size, rng)
        return cls(
            size=size,
            padding=config.crop_padding,
            offsets=offsets,
            flips=flips,
            policy=policy,
            erased=erased,
            cuts=None if cuts is None else cuts.to(device),
            weight=None if weight is None else weight.to(device),
        )

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The plan for these images only, in this order."""

        def own(drawn: Tensor | None) -> Tensor | None:
            return None if drawn is None else drawn[torch.from_numpy(rows).to(drawn.device)]

        return replace(
            self,
            offsets=own(self.offsets),
            flips=own(self.flips),
            policy=self.policy and self.policy.take(rows),
            erased=own(self.erased),
            cuts=own(self.cuts),
            weight=own(self.weight),
        )

    def transform(self, images: Tensor, start: int) -> Tensor:
        """Crops, flips and applies the policy to images `(M, 3, H, W) uint8`, the first of which is number `start`."""
        part = slice(start, start + len(images))
        images = self._crop_and_flip(images, part)
        return images if self.policy is None else _apply(self.policy.settings, self.policy.layers[:, part], images)

    def finish(self, images: Tensor, labels: Tensor, start: int, batch: int) -> tuple[Tensor, Mixing | None]:
        """Erases and mixes normalised images `(M, 3, H, W)`, the first of which is number `start`, M / `batch` batches.

        An erased region gets the channel's mean, 0. Each image is mixed with its predecessor in the batch, by
        mixup (Zhang et al. 2018) or cutmix (Yun et al. 2019).
        """
        part = slice(start, start + len(images))
        if self.erased is not None:
            images = images.masked_fill(mask(self.erased[part], self.size), 0)
        if self.weight is None or self.cuts is None:
            return images, None
        weight, cuts = self.weight[part], self.cuts[part]
        own = torch.where((cuts[:, 2:] > 0).all(dim=1), 1.0, weight)[:, None, None, None]
        own = own.masked_fill(mask(cuts, self.size), 0)
        before = images.unflatten(0, (-1, batch)).roll(1, 1).flatten(0, 1)
        return torch.lerp(before, images, own), Mixing(labels.view(-1, batch).roll(1, 1).flatten(), weight)

    def _crop_and_flip(self, images: Tensor, part: slice) -> Tensor:
        if self.offsets is None and self.flips is None:
            return images
        device, n = images.device, len(images)
        rows = columns = torch.arange(self.size, device=device).expand(n, -1)
        if self.flips is not None:
            columns = torch.where(self.flips[part, None], self.size - 1 - columns, columns)
        if self.offsets is not None:
            images = F.pad(images, (self.padding,) * 4)
            offsets = self.offsets[part]
            rows, columns = rows + offsets[:, :1], columns + offsets[:, 1:]
        each = torch.arange(n, device=device)[:, None, None]
        return images[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _apply(settings: list[Setting], layers: NDArray[np.int64], images: Tensor) -> Tensor:
    """Applies to each image the setting that each layer `(L, M)` has for it.

    In each layer the images are sorted by their setting, so that those with the same one share a kernel call.
    """
    from resnet_core.augment.operations import OPERATIONS  # noqa: PLC0415 - imports torchvision, which takes seconds

    orders = np.argsort(layers, axis=1, kind="stable")
    places = np.argsort(orders, axis=1)
    # How images are moved from the epoch's order to that of the first layer, from one layer's order to the next one's,
    # and from the last one's back to the epoch's. All moves go to the device together.
    between = np.take_along_axis(places[:-1], orders[1:], axis=1)
    moves = torch.from_numpy(np.concatenate((orders[:1], between, places[-1:]))).to(images.device)
    for layer, order, move in zip(layers, orders, moves[:-1], strict=True):
        images = images[move]
        ordered = layer[order]
        begins = np.flatnonzero(np.diff(ordered, prepend=-1))
        ends = np.append(begins[1:], len(ordered))
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            name, magnitude = settings[ordered[begin]]
            if name != "Identity":
                images[begin:end] = OPERATIONS[name](images[begin:end], magnitude)
    return images[moves[-1]]


def _draw_mixing(
    config: AugmentationConfig, n: int, size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Cutmix's boxes `(N, 4)` and the weight of each image's own label `(N,)`.

    Where mixup and cutmix are both on, each is drawn for half of the images.
    """
    if not config.mixup and not config.cutmix:
        return None, None
    by_cutmix = rng.random(n) < (0.5 if config.mixup else 1.0) if config.cutmix else np.zeros(n, dtype=bool)
    weight = np.ones(n)
    cuts = np.zeros((n, 4), dtype=np.int64)
    if config.mixup:
        weight = rng.beta(config.mixup, config.mixup, n)
    if config.cutmix:
        boxes = draw_cutmix(rng.beta(config.cutmix, config.cutmix, n), size, rng)
        cuts = np.where(by_cutmix[:, None], boxes, 0)
        weight = np.where(by_cutmix, 1 - boxes[:, 2] * boxes[:, 3] / size**2, weight)
    return torch.from_numpy(cuts), torch.from_numpy(weight.astype(np.float32))
