import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as T

from resnet_core.augment import EpochPlan, normalize
from resnet_core.augment.rectangles import draw_cutmix, draw_erasing
from resnet_core.config import AugmentationConfig

CPU = torch.device("cpu")
N = 64
NOTHING = AugmentationConfig(flip=False, crop_padding=0)
EVERYTHING = AugmentationConfig(policy="autoaugment", erasing=0.5, mixup=0.3, cutmix=1.0)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(0, 256, (N, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draw(config: AugmentationConfig, seed: int = 0, n: int = N) -> EpochPlan:
    return EpochPlan.draw(config, n, 32, np.random.default_rng(seed), CPU)


def test_nothing_happens_when_all_is_off(images: Tensor) -> None:
    plan = draw(NOTHING)
    assert torch.equal(plan.transform(images, 0), images)
    floats = images.float()
    finished, mixing = plan.finish(floats, torch.arange(N), 0)
    assert torch.equal(finished, floats)
    assert mixing is None


def test_crop_and_flip_equal_torchvision_on_each_image(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=True, crop_padding=4))
    assert plan.offsets is not None
    assert plan.flips is not None
    batch = plan.transform(images, 0)
    for index, image in enumerate(images):
        top, left = plan.offsets[index].tolist()
        single = T.crop(T.pad(image, [4, 4, 4, 4]), top, left, 32, 32)
        single = T.horizontal_flip(single) if plan.flips[index] else single
        assert torch.equal(batch[index], single)
    assert 10 < plan.flips.sum() < N - 10
    assert len(plan.offsets.unique(dim=0)) > 30


def test_crops_reach_every_offset_of_the_padding() -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=2), n=2000)
    assert plan.offsets is not None
    assert len(plan.offsets.unique(dim=0)) == 25


def test_policy_on_a_batch_equals_torchvision_on_each_image(images: Tensor) -> None:
    plan = draw(AugmentationConfig(policy="autoaugment", flip=False, crop_padding=0))
    assert plan.policy is not None
    batch = plan.transform(images, 0)
    reference = v2.AutoAugment()
    for index, image in enumerate(images):
        single = image
        for layer in plan.policy.layers:
            name, magnitude = plan.policy.settings[layer[index]]
            single = reference._apply_image_or_video_transform(
                single, name, magnitude, interpolation=v2.InterpolationMode.NEAREST, fill={torch.Tensor: None}
            )
        assert torch.equal(batch[index], single)


@pytest.mark.parametrize("policy", ["autoaugment", "trivialaugment"])
def test_epoch_is_the_same_in_one_piece_and_in_chunks(images: Tensor, policy: str) -> None:
    config = EVERYTHING.model_copy(update={"policy": policy})
    whole = draw(config).transform(images, 0)
    parts = [draw(config).transform(images[start : start + 16], start) for start in range(0, N, 16)]
    assert torch.equal(whole, torch.cat(parts))


def test_erasing_is_the_same_in_one_piece_and_in_batches(images: Tensor) -> None:
    plan, labels = draw(AugmentationConfig(erasing=0.5)), torch.arange(N)
    whole, _ = plan.finish(images.float(), labels, 0)
    parts = [plan.finish(images[s : s + 16].float(), labels[s : s + 16], s)[0] for s in range(0, N, 16)]
    assert torch.equal(whole, torch.cat(parts))


def test_batches_take_their_own_part_of_the_mixing(images: Tensor) -> None:
    plan, labels = draw(EVERYTHING), torch.arange(N)
    assert plan.weight is not None
    for start in range(0, N, 16):
        part = slice(start, start + 16)
        _, mixing = plan.finish(images[part].float(), labels[part], start)
        assert mixing is not None
        assert torch.equal(mixing.weight, plan.weight[part])
        assert torch.equal(mixing.labels, labels[part].roll(1))


@pytest.mark.parametrize("policy", ["none", "autoaugment", "trivialaugment"])
def test_plan_gives_the_same_images_in_either_memory_format(images: Tensor, policy: str) -> None:
    config = EVERYTHING.model_copy(update={"policy": policy})
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(draw(config).transform(images, 0), draw(config).transform(last, 0))


@pytest.mark.parametrize("policy", ["none", "autoaugment", "trivialaugment"])
def test_plan_never_reads_from_the_device(policy: str) -> None:
    """Tensors on `meta` have no values: reading one, as `.item()` and `nonzero` do, raises."""
    meta = torch.device("meta")
    config = EVERYTHING.model_copy(update={"policy": policy})
    plan = EpochPlan.draw(config, N, 32, np.random.default_rng(0), meta)
    transformed = plan.transform(torch.empty((N, 3, 32, 32), dtype=torch.uint8, device=meta), 0)
    finished, _ = plan.finish(transformed.float(), torch.empty(N, dtype=torch.int64, device=meta), 0)
    assert finished.shape == (N, 3, 32, 32)


@pytest.mark.parametrize("policy", ["none", "autoaugment", "trivialaugment"])
def test_plan_leaves_the_images_of_the_data_set_alone(images: Tensor, policy: str) -> None:
    before = images.clone()
    draw(NOTHING.model_copy(update={"policy": policy})).transform(images, 0)
    assert torch.equal(images, before)


def test_images_differ_from_each_other_in_what_they_get() -> None:
    same = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8).expand(N, -1, -1, -1)
    assert len(draw(EVERYTHING).transform(same, 0).flatten(1).unique(dim=0)) > N * 0.9


def test_same_seed_gives_the_same_epoch(images: Tensor) -> None:
    first, again = draw(EVERYTHING, 5), draw(EVERYTHING, 5)
    assert torch.equal(first.transform(images, 0), again.transform(images, 0))
    floats, labels = images.float(), torch.arange(N)
    assert torch.equal(first.finish(floats, labels, 0)[0], again.finish(floats, labels, 0)[0])


def test_another_seed_gives_another_epoch(images: Tensor) -> None:
    assert not torch.equal(draw(EVERYTHING, 0).transform(images, 0), draw(EVERYTHING, 1).transform(images, 0))


def test_erasing_equals_torchvision_at_the_same_rectangle(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, erasing=0.5))
    floats = images.float()
    erased, _ = plan.finish(floats, torch.arange(N), 0)
    assert plan.erased is not None
    for index, (top, left, height, width) in enumerate(plan.erased.tolist()):
        expected = T.erase(floats[index], top, left, height, width, v=torch.zeros(1)) if height else floats[index]
        assert torch.equal(erased[index], expected)
    assert 15 < (plan.erased[:, 2] > 0).sum() < 50


def test_erasing_rectangles_span_the_papers_areas_and_ratios_when_pixels_are_fine() -> None:
    drawn = draw_erasing(20_000, 1024, 1.0, np.random.default_rng(0))
    _, _, height, width = drawn[drawn[:, 2] > 0].T
    area, ratio = height * width / 1024**2, height / width
    assert (area.min(), area.max()) == pytest.approx((0.02, 0.33), rel=0.02)
    assert (ratio.min(), ratio.max()) == pytest.approx((0.3, 3.3), rel=0.02)
    assert np.log(ratio).mean() == pytest.approx(np.log(0.3 * 3.3) / 2, abs=0.02)


def test_erasing_rectangles_keep_to_area_and_ratio() -> None:
    drawn = draw_erasing(20_000, 32, 1.0, np.random.default_rng(0))
    kept = drawn[drawn[:, 2] > 0]
    assert len(kept) > 19_900
    top, left, height, width = kept.T
    assert (top >= 0).all()
    assert (top + height <= 32).all()
    assert (left + width <= 32).all()
    area, ratio = height * width / 32**2, height / width
    assert area.min() > 0.005  # whole pixels: a little beyond 2 to 33 %
    assert area.max() < 0.36
    assert math.exp(abs(np.log(ratio)).max()) < 5
    assert area.mean() == pytest.approx(0.16, abs=0.02)


def test_mixup_equals_its_definition(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, mixup=0.4))
    floats, labels = images.float(), torch.arange(N)
    mixed, mixing = plan.finish(floats, labels, 0)
    assert mixing is not None
    for index in range(N):
        share = mixing.weight[index].item()
        expected = share * floats[index] + (1 - share) * floats[index - 1]
        torch.testing.assert_close(mixed[index], expected, rtol=1e-5, atol=1e-3)
    assert torch.equal(mixing.labels, labels.roll(1))
    assert len(mixing.weight.unique()) > N * 0.9


def test_mixup_equals_torchvision_at_the_same_share(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, mixup=0.4))
    assert plan.weight is not None
    plan.weight.fill_(0.3)
    mixed, _ = plan.finish(images.float(), torch.arange(N), 0)
    reference = v2.MixUp(num_classes=N)
    expected = reference.transform(images.float(), {"lam": 0.3, "labels": None, "batch_size": N})
    torch.testing.assert_close(mixed, expected)


def test_cutmix_pastes_the_predecessor_and_weighs_by_area(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, cutmix=1.0))
    floats = images.float()
    mixed, mixing = plan.finish(floats, torch.arange(N), 0)
    assert mixing is not None
    assert plan.cuts is not None
    for index, (top, left, height, width) in enumerate(plan.cuts.tolist()):
        expected = floats[index].clone()
        box = (slice(None), slice(top, top + height), slice(left, left + width))
        expected[box] = floats[index - 1][box]
        assert torch.equal(mixed[index], expected)
        assert mixing.weight[index].item() == pytest.approx(1 - height * width / 1024)


def test_cutmix_equals_torchvision_at_the_same_box(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, cutmix=1.0))
    assert plan.cuts is not None
    assert plan.weight is not None
    plan.cuts.copy_(torch.tensor([3, 5, 20, 10]))
    plan.weight.fill_(1 - 200 / 1024)
    mixed, _ = plan.finish(images.float(), torch.arange(N), 0)
    params = {"box": (5, 3, 15, 23), "lam_adjusted": 1 - 200 / 1024, "labels": None, "batch_size": N}
    assert torch.equal(mixed, v2.CutMix(num_classes=N).transform(images.float(), params))


def test_cutmix_boxes_have_the_area_asked_for_unless_cut_off() -> None:
    boxes = draw_cutmix(np.full(5000, 0.75), 32, np.random.default_rng(0))
    assert boxes[:, 2:].max() == 16  # twice the half side of 8: a quarter of the image
    assert (boxes[:, :2] + boxes[:, 2:]).max() <= 32
    assert (boxes[:, 2:].min(axis=1) < 16).any()


def test_mixup_and_cutmix_share_the_images_when_both_are_on() -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, mixup=1.0, cutmix=1.0), n=4000)
    assert plan.cuts is not None
    by_cutmix = (plan.cuts[:, 2] > 0).float().mean().item()
    assert 0.42 < by_cutmix < 0.52


def test_normalize_gives_zero_mean_and_unit_deviation(images: Tensor) -> None:
    mean, std = (images / 255).mean(dim=(0, 2, 3)), (images / 255).std(dim=(0, 2, 3))
    normalized = normalize(images, mean, std)
    assert normalized.dtype == torch.float32
    torch.testing.assert_close(normalized, T.normalize(images / 255, mean.tolist(), std.tolist()), rtol=1e-4, atol=1e-5)
