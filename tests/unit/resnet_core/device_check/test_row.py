import pytest

from resnet_core.device_check.row import NotApplicable, Row, State, Wrong, look


def raises(error: Exception) -> str:
    raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotApplicable("on a CPU"), Row("x", State.NOT_APPLICABLE, "on a CPU")),
        (Wrong("too old", "get a new one"), Row("x", State.FAILED, "too old", "get a new one")),
        (
            RuntimeError("CUDA error: no kernel\nlong advice"),
            Row("x", State.FAILED, "RuntimeError: CUDA error: no kernel", "general"),
        ),
        (AssertionError(), Row("x", State.FAILED, "AssertionError", "general")),
    ],
)
def test_whatever_is_raised_is_a_row(error: Exception, expected: Row) -> None:
    assert look("x", lambda: raises(error), "general") == expected


def test_row_of_what_works_needs_no_advice() -> None:
    assert look("x", lambda: "fast", "general") == Row("x", State.OK, "fast")
