from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_core.data import Images, channel_statistics, limit_images, split


def numbered(counts: list[int]) -> Images:
    """Images that hold their own number, `counts[k]` of class k."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    numbers = torch.arange(len(labels))
    pixels = torch.stack((numbers % 256, numbers // 256, labels), dim=1).to(torch.uint8)
    return Images(pixels[:, :, None, None], labels)


def numbers(images: Images) -> set[int]:
    pixels = images.images[:, :, 0, 0].int()
    return set((pixels[:, 0] + 256 * pixels[:, 1]).tolist())


def test_split_of_cifar_is_45000_to_5000_with_500_a_class() -> None:
    train, validation = split(numbered([5000] * 10), 0.1, seed=0)
    assert (len(train), len(validation)) == (45_000, 5_000)
    assert validation.labels.bincount().tolist() == [500] * 10


def test_limit_includes_the_validation_images() -> None:
    train, validation = split(numbered([5000] * 10), 0.1, seed=0, limit=5000)
    assert train.labels.bincount().tolist() == [450] * 10
    assert validation.labels.bincount().tolist() == [50] * 10


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(2, 60), min_size=2, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_is_disjoint_complete_and_stratified(counts: list[int], fraction: float, seed: int) -> None:
    images = numbered(counts)
    train, validation = split(images, fraction, seed)
    assert not numbers(train) & numbers(validation)
    assert numbers(train) | numbers(validation) == numbers(images)
    for label, count in enumerate(counts):
        held_out = (validation.labels == label).sum().item()
        assert 1 <= held_out <= count - 1
        assert abs(held_out - count * fraction) <= 1


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=5), data=st.data())
def test_limit_takes_evenly_until_a_class_is_used_up(counts: list[int], data: st.DataObject) -> None:
    limit = data.draw(st.integers(1, sum(counts)))
    taken = limit_images(numbered(counts), limit, 0, "data.limit").labels.bincount(minlength=len(counts)).tolist()
    assert sum(taken) == limit
    unexhausted = [got for got, count in zip(taken, counts, strict=True) if got < count]
    assert not unexhausted or max(taken) - min(unexhausted) <= 1


def test_split_follows_the_seed() -> None:
    images = numbered([100] * 3)
    assert numbers(split(images, 0.2, 1)[1]) == numbers(split(images, 0.2, 1)[1])
    assert numbers(split(images, 0.2, 1)[1]) != numbers(split(images, 0.2, 2)[1])


def test_limit_above_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.limit=301: at most 300"):
        split(numbered([100] * 3), 0.1, 0, limit=301)


def test_class_of_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"class 1 has 1 image, two needed"):
        split(numbered([5, 1]), 0.5, 0)


def test_limit_that_leaves_a_class_one_image_is_refused_as_the_limit() -> None:
    with pytest.raises(ValueError, match=r"^data\.limit=5: class 2 has 1 image, two needed"):
        split(numbered([100] * 3), 0.1, 0, limit=5)


def test_split_is_the_same_on_every_machine() -> None:
    pixels = torch.arange(60, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 1, 1)
    _, validation = split(Images(pixels, torch.arange(60) % 3), 0.1, seed=7)
    assert validation.images[:, 0, 0, 0].tolist() == [1, 9, 13, 20, 24, 41]


@pytest.mark.parametrize("seed", range(5))
def test_channel_means_are_rounded_once(seed: int) -> None:
    pixels = torch.randint(0, 256, (500, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    mean, _ = channel_statistics(Images(pixels, torch.zeros(500, dtype=torch.int64)))
    exact = [Fraction(int(pixels[:, channel].sum()), 255 * 500 * 64) for channel in range(3)]
    assert mean.tolist() == [float(np.float32(value)) for value in exact]


def test_channel_statistics_equal_those_of_the_pixels() -> None:
    pixels = torch.randint(0, 256, (300, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    pixels[:, 2] = 17
    mean, std = channel_statistics(Images(pixels, torch.zeros(300, dtype=torch.int64)))
    values = pixels.double() / 255
    torch.testing.assert_close(mean, values.mean(dim=(0, 2, 3)).float())
    torch.testing.assert_close(std[:2], values.std(dim=(0, 2, 3), correction=0).float()[:2])
    assert std[2] == 1e-3  # a flat channel is not divided by zero
