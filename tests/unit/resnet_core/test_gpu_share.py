from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from resnet_core.gpu_share import CONTEXT_BYTES, has_mps, memory_share, share_gpu

NO_PIPES = Path("/nowhere")
GIB = 2**30
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def test_no_process_holds_a_gpu_on_the_cpu() -> None:
    assert share_gpu(torch.device("cpu"), 4, NO_PIPES) == 0


@pytest.mark.parametrize(("total", "processes"), [(80 * GIB, 2), (80 * GIB, 16), (8 * GIB, 4), (24 * GIB - 1, 3)])
def test_shares_leave_room_for_the_context_of_each_process(total: int, processes: int) -> None:
    tensors = int(memory_share(total, processes) * total)
    assert 0 <= total - processes * (tensors + CONTEXT_BYTES) <= processes


def test_gpu_that_has_no_room_for_the_contexts_is_refused() -> None:
    assert memory_share(4 * GIB, 7) > 0
    with pytest.raises(ValueError, match=r"^8 processes on one GPU: each takes 512 MiB .* of 4\.0 GiB; at most 7$"):
        memory_share(4 * GIB, 8)


def test_service_is_there_when_its_control_pipe_is(tmp_path: Path) -> None:
    assert not has_mps(tmp_path / "missing")
    assert not has_mps(tmp_path)
    (tmp_path / "control").touch()
    assert has_mps(tmp_path)


@pytest.fixture
def gpu() -> Iterator[torch.device]:
    device = torch.device("cuda")
    yield device
    torch.cuda.set_per_process_memory_fraction(1.0, device)
    torch.cuda.empty_cache()


@needs_gpu
def test_process_takes_no_more_memory_than_its_share(gpu: torch.device) -> None:
    assert share_gpu(gpu, 4, NO_PIPES) == 0.25
    memory = torch.cuda.get_device_properties(gpu).total_memory
    torch.empty(memory // 8, dtype=torch.uint8, device=gpu)
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(memory // 3, dtype=torch.uint8, device=gpu)
