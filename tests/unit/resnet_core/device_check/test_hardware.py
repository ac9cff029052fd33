from pathlib import Path

import pytest
import torch

from resnet_core.device_check import hardware
from resnet_core.device_check.hardware import driver_version, find_device, find_memory, has_kernels
from resnet_core.device_check.row import Wrong

CPU = torch.device("cpu")
PROPRIETARY = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024
GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
"""
OPEN = """NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)  Sun Jul 27
GCC version:  gcc version 11.4.0
"""


@pytest.mark.parametrize(("text", "version"), [(PROPRIETARY, "535.183.01"), (OPEN, "580.65.06")])
def test_version_is_read_from_both_kinds_of_kernel_module(text: str, version: str) -> None:
    assert driver_version(text) == version


def test_driver_without_a_version_is_wrong() -> None:
    with pytest.raises(Wrong, match="names no version: nothing"):
        driver_version("nothing")


@pytest.mark.parametrize(
    ("built_for", "capability", "expected"),
    [
        (["sm_80", "sm_90"], (8, 6), True),
        (["sm_80", "sm_90"], (9, 0), True),
        (["sm_86", "sm_90"], (8, 0), False),
        (["sm_75", "sm_90"], (6, 1), False),
        (["sm_80", "sm_90"], (10, 0), False),
        (["sm_80", "compute_90"], (10, 0), True),
        (["sm_100", "sm_120"], (12, 1), True),
        (["sm_90a", "compute_120"], (9, 0), True),
        ([], (9, 0), False),
    ],
)
def test_kernels_run_on_gpus_of_their_kind(built_for: list[str], capability: tuple[int, int], expected: bool) -> None:
    assert has_kernels(built_for, *capability) == expected


def test_driver_that_torch_cannot_use_is_told_although_the_cpu_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version").write_text(OPEN)
    monkeypatch.setattr(hardware, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found: list[torch.device] = []
    with pytest.raises(Wrong, match="driver is there, but torch finds no GPU"):
        find_device("auto", found)
    assert found == [CPU]
    assert find_device("cpu", []).startswith("CPU, ")


def test_machine_without_free_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(hardware, "MEMORY", meminfo)
    meminfo.write_text("MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    8388608 kB\n")
    assert find_memory(CPU) == "8.0 of 16.0 GiB free"
    meminfo.write_text("MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    1048576 kB\n")
    with pytest.raises(Wrong, match=r"^1\.0 of 16\.0 GiB free$"):
        find_memory(CPU)
