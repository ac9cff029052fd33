"""Augmentation in batches on the device, exact: every image has its own draw."""

from resnet_core.augment.normalize import normalize
from resnet_core.augment.plan import EpochPlan, Mixing

__all__ = ["EpochPlan", "Mixing", "normalize"]
