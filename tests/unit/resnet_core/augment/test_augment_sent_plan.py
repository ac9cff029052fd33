from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as T

from resnet_core.augment import EpochPlan, normalize
from resnet_core.augment.sent_plan import SentPlan
from resnet_core.config import AugmentationConfig

CPU = torch.device("cpu")
N = 64
NOTHING = AugmentationConfig(flip=False, crop_padding=0)
EVERYTHING = AugmentationConfig(policy="autoaugment", erasing=0.5, mixup=0.3, cutmix=1.0)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(0, 256, (N, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draw(config: AugmentationConfig, seed: int = 0, n: int = N, chunk: int = N) -> SentPlan:
    return EpochPlan.draw(config, n, 32, np.random.default_rng(seed)).send(CPU, chunk)


def test_nothing_happens_when_all_is_off(images: Tensor) -> None:
    plan = draw(NOTHING)
    assert torch.equal(plan.transform(images, 0), images)
    floats = images.float()
    finished, mixing = plan.finish(floats, torch.arange(N), 0, N)
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


@pytest.mark.parametrize(("padding", "size"), [(2, 32), (31, 32), (32, 8)])
def test_crop_of_a_mirrored_border_equals_torchvision_on_each_image(padding: int, size: int) -> None:
    """A border that is wider than the image is mirrored again."""
    images = torch.randint(0, 256, (N, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    config = AugmentationConfig(flip=True, crop_padding=padding, crop_padding_mode="reflect")
    plan = EpochPlan.draw(config, N, size, np.random.default_rng(0)).send(CPU, N)
    assert plan.offsets is not None
    assert plan.flips is not None
    batch = plan.transform(images, 0)
    for index, image in enumerate(images):
        top, left = plan.offsets[index].tolist()
        padded, rest = image, padding
        while rest:  # torchvision mirrors a border at most as wide as the image is without its last pixel
            once = min(rest, padded.shape[-1] - 1)
            padded, rest = T.pad(padded, [once] * 4, padding_mode="reflect"), rest - once
        single = T.crop(padded, top, left, size, size)
        single = T.horizontal_flip(single) if plan.flips[index] else single
        assert torch.equal(batch[index], single)


@pytest.mark.parametrize("policy", ["autoaugment", "trivialaugment"])
def test_policy_on_a_chunk_equals_torchvision_on_each_image(policy: str) -> None:
    n = 3000
    smooth = torch.rand((n, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    images = F.interpolate(smooth * 300 - 20, size=32, mode="bilinear").clamp(0, 255).to(torch.uint8)
    drawn = EpochPlan.draw(NOTHING.model_copy(update={"policy": policy}), n, 32, np.random.default_rng(0))
    assert drawn.policy is not None
    chunk = drawn.send(CPU, n).transform(images, 0)
    reference = v2.AutoAugment()
    differing = 0
    for index, image in enumerate(images):
        single = image
        for layer in drawn.policy.layers:
            name, magnitude = drawn.policy.settings[layer[index]]
            single = reference._apply_image_or_video_transform(
                single, name, magnitude, interpolation=v2.InterpolationMode.NEAREST, fill={torch.Tensor: None}
            )
        differing += int((chunk[index] != single).sum())
    assert differing == 0, f"of {images.numel()} values"


@pytest.mark.parametrize("policy", ["autoaugment", "trivialaugment"])
def test_epoch_is_the_same_in_one_piece_and_in_chunks(images: Tensor, policy: str) -> None:
    config = EVERYTHING.model_copy(update={"policy": policy})
    whole = draw(config).transform(images, 0)
    plan = draw(config, chunk=24)
    parts = [plan.transform(images[start : start + 24], start) for start in range(0, N, 24)]
    assert [len(part) for part in parts] == [24, 24, 16]
    assert torch.equal(whole, torch.cat(parts))


def test_chunk_of_batches_is_finished_as_each_batch_is(images: Tensor) -> None:
    plan, floats, labels = draw(EVERYTHING), images.float(), torch.arange(N)
    whole, mixing = plan.finish(floats, labels, 0, 16)
    assert mixing is not None
    for start in range(0, N, 16):
        part = slice(start, start + 16)
        finished, mixed = plan.finish(floats[part], labels[part], start, 16)
        assert mixed is not None
        assert torch.equal(whole[part], finished)
        assert torch.equal(mixing.labels[part], mixed.labels)
        assert torch.equal(mixed.labels, labels[part].roll(1))
        assert torch.equal(mixing.weight[part], mixed.weight)


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
    plan = EpochPlan.draw(config, N, 32, np.random.default_rng(0)).send(meta, N)
    transformed = plan.transform(torch.empty((N, 3, 32, 32), dtype=torch.uint8, device=meta), 0)
    finished, _ = plan.finish(transformed.float(), torch.empty(N, dtype=torch.int64, device=meta), 0, N)
    assert finished.shape == (N, 3, 32, 32)


class Launches(TorchDispatchMode):
    """Counts the operations that launch a kernel on a GPU: all but those that only look at memory in another way."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("policy", ["autoaugment", "trivialaugment"])
def test_epoch_of_cifar10_takes_few_operations(policy: str) -> None:
    n, meta = 45_056, torch.device("meta")
    config = EVERYTHING.model_copy(update={"policy": policy})
    plan = EpochPlan.draw(config, n, 32, np.random.default_rng(0)).send(meta, n)
    images = torch.empty((n, 3, 32, 32), dtype=torch.uint8, device=meta)
    with Launches() as launches:
        plan.transform(images, 0)
    assert 50 < launches.count <= 200


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
    assert torch.equal(first.finish(floats, labels, 0, N)[0], again.finish(floats, labels, 0, N)[0])


def test_another_seed_gives_another_epoch(images: Tensor) -> None:
    assert not torch.equal(draw(EVERYTHING, 0).transform(images, 0), draw(EVERYTHING, 1).transform(images, 0))


def test_erasing_equals_torchvision_at_the_same_rectangle(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, erasing=0.5))
    floats = images.float()
    erased, _ = plan.finish(floats, torch.arange(N), 0, N)
    assert plan.erased is not None
    for index, (top, left, height, width) in enumerate(plan.erased.tolist()):
        expected = T.erase(floats[index], top, left, height, width, v=torch.zeros(1)) if height else floats[index]
        assert torch.equal(erased[index], expected)
    assert 15 < (plan.erased[:, 2] > 0).sum() < 50


def test_mixup_equals_its_definition(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, mixup=0.4))
    floats, labels = images.float(), torch.arange(N)
    mixed, mixing = plan.finish(floats, labels, 0, N)
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
    mixed, _ = plan.finish(images.float(), torch.arange(N), 0, N)
    reference = v2.MixUp(num_classes=N)
    expected = reference.transform(images.float(), {"lam": 0.3, "labels": None, "batch_size": N})
    torch.testing.assert_close(mixed, expected)


def test_cutmix_pastes_the_predecessor_and_weighs_by_area(images: Tensor) -> None:
    plan = draw(AugmentationConfig(flip=False, crop_padding=0, cutmix=1.0))
    floats = images.float()
    mixed, mixing = plan.finish(floats, torch.arange(N), 0, N)
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
    mixed, _ = plan.finish(images.float(), torch.arange(N), 0, N)
    params = {"box": (5, 3, 15, 23), "lam_adjusted": 1 - 200 / 1024, "labels": None, "batch_size": N}
    assert torch.equal(mixed, v2.CutMix(num_classes=N).transform(images.float(), params))


def test_normalize_gives_zero_mean_and_unit_deviation(images: Tensor) -> None:
    mean, std = (images / 255).mean(dim=(0, 2, 3)), (images / 255).std(dim=(0, 2, 3))
    normalized = normalize(images, mean, std)
    assert normalized.dtype == torch.float32
    torch.testing.assert_close(normalized, T.normalize(images / 255, mean.tolist(), std.tolist()), rtol=1e-4, atol=1e-5)
