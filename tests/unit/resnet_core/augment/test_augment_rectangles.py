import math

import numpy as np
import pytest

from resnet_core.augment.rectangles import draw_cutmix, draw_erasing


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


def test_cutmix_boxes_have_the_area_asked_for_unless_cut_off() -> None:
    boxes = draw_cutmix(np.full(5000, 0.75), 32, np.random.default_rng(0))
    assert boxes[:, 2:].max() == 16  # twice the half side of 8: a quarter of the image
    assert (boxes[:, :2] + boxes[:, 2:]).max() <= 32
    assert (boxes[:, 2:].min(axis=1) < 16).any()
