import pytest
import torch

from resnet_core.arithmetic import Arithmetic
from resnet_core.cpu import timing
from resnet_core.cpu.timing import Layer, measure, timed

FP32 = Arithmetic(torch.float32)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may take the cores."""
    monkeypatch.setattr(timing, "PATIENCE", 60)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("layer", "after"),
    [
        (Layer(14, 2, 8, 8, threads=1, filters=15), Arithmetic(torch.bfloat16)),
        (Layer(96, 32, 4, 4, threads=1, filters=96), Arithmetic(torch.float32, winograd=True)),
        (Layer(64, 32, 4, 4, threads=1, filters=64), Arithmetic(torch.bfloat16, product_gradient=True)),
        (Layer(53, 1, 512, 16, threads=2), Arithmetic(torch.float32, grouped_batch_norm=True)),
        (Layer(53, 1, 512, 16, threads=2), Arithmetic(torch.bfloat16, grouped_batch_norm=True)),
    ],
    ids=str,
)
def test_timing_leaves_no_trace(layer: Layer, after: Arithmetic) -> None:
    """Neither in random numbers nor in the number of threads."""
    before = torch.get_rng_state()
    found = measure(layer, Arithmetic(after.precision), after)
    assert found is not None
    assert found.before > 0
    assert found.after > 0
    assert found.gain == found.before / found.after
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 2


def test_more_work_takes_longer() -> None:
    """Sixteen times the multiplications: no machine is busy in a way that hides it, in the time of this thread."""
    small, large = (timed(Layer(width, 4, 8, 8, threads=1, filters=width), FP32, FP32) for width in (32, 256))
    assert small is not None
    assert large is not None
    assert large.before > 4 * small.before


def test_a_layer_is_timed_once_in_a_process() -> None:
    layer = Layer(14, 2, 8, 8, threads=1, filters=14)
    found = timed(layer, FP32, Arithmetic(torch.bfloat16))
    assert found is not None
    assert timed(layer, FP32, Arithmetic(torch.bfloat16)) is found


def test_too_few_rounds_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PATIENCE", 0)
    assert timed(Layer(14, 2, 8, 8, threads=1, filters=13), FP32, Arithmetic(torch.bfloat16)) is None
