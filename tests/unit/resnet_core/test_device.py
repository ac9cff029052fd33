import pytest
import torch

from resnet_core.device import select_device


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
