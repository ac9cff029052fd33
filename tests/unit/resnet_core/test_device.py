import os
import subprocess
import sys

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
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    device = select_device(name, rank)
    assert device.index == expected
    assert current == [device]


def test_cuda_computes_fp32_as_ieee_once_a_device_is_selected() -> None:
    """In a process of its own, whose settings are those that torch begins with: convolutions in TF32."""
    code = """
import torch
from resnet_core.device import select_device
settings = (torch.backends.cudnn, torch.backends.cuda.matmul)
print(*[setting.allow_tf32 for setting in settings])
select_device("cpu")
print(*[setting.allow_tf32 for setting in settings])
assert "tf32" not in {torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision}
"""
    environment = {**os.environ, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}  # as NVIDIA's images set it
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.stdout.splitlines(), done.stderr) == (["True True", "False False"], "")
