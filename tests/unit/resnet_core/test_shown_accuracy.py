"""Accuracies as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_core.shown_accuracy import in_percent, percent, points


@pytest.mark.parametrize(
    ("hits", "images", "written"),
    [
        (58, 60, "97 %"),
        (99, 100, "99 %"),
        (351, 359, "97.8 %"),
        (4500, 5000, "90.00 %"),
        (9063, 10_000, "90.63 %"),
        (43_211, 50_000, "86.42 %"),
    ],
)
def test_as_many_decimals_as_so_many_images_tell(hits: int, images: int, written: str) -> None:
    assert percent(hits / images, images) == written
    assert in_percent(hits / images, images) == float(written.removesuffix(" %"))


def test_what_is_not_known_is_said_so() -> None:
    assert percent(None, 359) == "–"
    assert in_percent(None, 359) is None
    assert percent(0.97772, None) == "97.77 %"


def test_differences_are_points() -> None:
    assert points(0.0123, 359) == "1.2"
    assert points(0.0123, 10_000, "+") == "+1.23"
    assert points(-0.0123, 359, "+") == "-1.2"


@given(st.integers(1, 10_000).flatmap(lambda images: st.tuples(st.just(images), st.integers(0, images - 1))))
def test_one_image_more_is_always_seen(case: tuple[int, int]) -> None:
    images, hits = case
    assert percent(hits / images, images) != percent((hits + 1) / images, images)
