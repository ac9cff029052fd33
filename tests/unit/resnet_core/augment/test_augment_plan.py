import zlib

import numpy as np
import pytest

from resnet_core.augment import EpochPlan
from resnet_core.config import AugmentationConfig

EVERYTHING = AugmentationConfig(policy="autoaugment", erasing=0.5, mixup=0.3, cutmix=1.0)


def draw(config: AugmentationConfig, n: int = 1000) -> EpochPlan:
    return EpochPlan.draw(config, n, 32, np.random.default_rng(0))


def test_crops_reach_every_offset_of_the_padding() -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=2), n=2000)
    assert plan.offsets is not None
    assert len(np.unique(plan.offsets, axis=0)) == 25


def test_mixup_and_cutmix_share_the_images_when_both_are_on() -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, mixup=1.0, cutmix=1.0), n=4000)
    assert plan.cuts is not None
    by_cutmix = (plan.cuts[:, 2] > 0).mean()
    assert 0.42 < by_cutmix < 0.52


@pytest.mark.parametrize(
    ("policy", "checksums"),
    [
        ("autoaugment", [3456442020, 2063046568, 3264792363, 1517630501, 653052401]),
        ("trivialaugment", [3456442020, 2063046568, 2935647042, 571810247, 1704505191]),
    ],
)
def test_choices_are_those_of_the_studies_that_are_resumed(policy: str, checksums: list[int]) -> None:
    plan = draw(EVERYTHING.model_copy(update={"policy": policy}))
    assert plan.policy is not None
    drawn = (plan.offsets, plan.flips, plan.policy.layers, plan.erased, plan.cuts)
    assert [zlib.crc32(np.ascontiguousarray(choices, dtype="<i8")) for choices in drawn] == checksums


def test_plan_of_some_images_has_their_choices_in_their_order() -> None:
    rows = np.array([7, 3, 999])
    whole, taken = draw(EVERYTHING), draw(EVERYTHING).take(rows)
    assert whole.policy is not None
    assert taken.policy is not None
    assert np.array_equal(taken.policy.layers, whole.policy.layers[:, rows])
    for name in ("offsets", "flips", "erased", "cuts", "weight"):
        assert np.array_equal(getattr(taken, name), getattr(whole, name)[rows]), name


def test_plan_without_choices_stays_without_when_images_are_taken() -> None:
    nothing = AugmentationConfig(flip=False, crop_padding=0)
    assert draw(nothing).take(np.array([1])) == draw(nothing)
