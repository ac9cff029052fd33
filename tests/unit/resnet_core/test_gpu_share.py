from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from resnet_core.gpu_share import has_mps, share_gpu

NO_PIPES = Path("/nowhere")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def test_no_process_holds_a_gpu_on_the_cpu() -> None:
    assert share_gpu(torch.device("cpu"), 4, NO_PIPES) == 0


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
