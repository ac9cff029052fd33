"""All random choices of one epoch, which are drawn at once."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_core.augment.policies import PolicyDraw, draw_autoaugment, draw_trivialaugment
from resnet_core.augment.rectangles import draw_cutmix, draw_erasing
from resnet_core.augment.sent_plan import SentPlan, SentPolicy, send
from resnet_core.config import AugmentationConfig, PaddingMode


@dataclass(frozen=True)
class EpochPlan:
    """What happens to each image of an epoch, in the order of the epoch, whatever chunks it is divided into.

    The choices are drawn on the CPU and stay there until they are sent.
    """

    size: int
    padding: int
    padding_mode: PaddingMode
    offsets: NDArray[np.int64] | None  # (N, 2) top and left of the crop in the padded image
    flips: NDArray[np.bool_] | None  # (N,)
    policy: PolicyDraw | None
    erased: NDArray[np.int64] | None  # (N, 4)
    cuts: NDArray[np.int64] | None  # (N, 4), empty rectangles where the image is mixed by mixup
    weight: NDArray[np.float32] | None  # (N,) the share that the image itself keeps in a mix

    @classmethod
    def draw(
        cls,
        config: AugmentationConfig,
        n: int,
        size: int,
        rng: np.random.Generator,
        *,
        alternating: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Choices for `n` images of `size` x `size` pixels.

        With `config.alternating_flip`, `alternating` `(n,)` says which ones are mirrored in this epoch.
        """
        offsets = flips = policy = erased = None
        if config.crop_padding:
            offsets = rng.integers(2 * config.crop_padding + 1, size=(n, 2))
        assert alternating is not None or not config.alternating_flip
        if config.flip:
            flips = alternating if config.alternating_flip else rng.random(n) < 0.5
        if config.policy == "autoaugment":
            policy = draw_autoaugment(n, size, rng)
        elif config.policy == "trivialaugment":
            policy = draw_trivialaugment(n, rng)
        if config.erasing:
            erased = draw_erasing(n, size, config.erasing, rng)
        cuts, weight = _draw_mixing(config, n, size, rng)
        padding = config.crop_padding, config.crop_padding_mode
        return cls(size, *padding, offsets, flips, policy, erased, cuts, weight)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The plan for these images only, in this order."""
        return replace(
            self,
            offsets=None if self.offsets is None else self.offsets[rows],
            flips=None if self.flips is None else self.flips[rows],
            policy=None if self.policy is None else self.policy.take(rows),
            erased=None if self.erased is None else self.erased[rows],
            cuts=None if self.cuts is None else self.cuts[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    def send(self, device: torch.device, chunk: int) -> SentPlan:
        """The plan on the device, for chunks of `chunk` images, of which the epoch's last one may have fewer.

        It is sent in at most seven copies, none of which a GPU is waited for.
        """
        return SentPlan(
            size=self.size,
            padding=self.padding,
            padding_mode=self.padding_mode,
            offsets=None if self.offsets is None else send(self.offsets, device),
            flips=None if self.flips is None else send(self.flips, device),
            policy=None if self.policy is None else SentPolicy.sort(self.policy, self.size, device, chunk),
            erased=None if self.erased is None else send(self.erased, device),
            cuts=None if self.cuts is None else send(self.cuts, device),
            weight=None if self.weight is None else send(self.weight, device),
        )


def _draw_mixing(
    config: AugmentationConfig, n: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | tuple[None, None]:
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
    return cuts, weight.astype(np.float32)
