"""Augmentation in batches on the device, in which every image still has its own random draw."""

from resnet_core.augment.normalize import normalize
from resnet_core.augment.plan import EpochPlan
from resnet_core.augment.sent_plan import Mixing

__all__ = ["EpochPlan", "Mixing", "normalize"]
