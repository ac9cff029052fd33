import platform
from pathlib import Path

import pytest
import torch

from resnet_core.device import has_amx, select_device


@pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="asks Linux about x86")
def test_amx_is_found_where_the_system_says_so() -> None:
    """Also by the private function of torch that versions before 2.11 are asked by."""
    there = "amx_tile" in Path("/proc/cpuinfo").read_text().split()
    assert has_amx() == there
    assert torch.cpu._is_amx_tile_supported() == there


def test_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^cuda:99: this machine has \d+ CUDA devices$"):
        select_device("cuda:99")


@pytest.mark.parametrize(
    ("name", "rank", "expected"), [("auto", 0, 0), ("cuda", 0, 0), ("cuda:1", 0, 1), ("auto", 1, 1), ("cuda", 1, 1)]
)
def test_cuda_device_has_an_index(monkeypatch: pytest.MonkeyPatch, name: str, rank: int, expected: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert select_device(name, rank).index == expected
