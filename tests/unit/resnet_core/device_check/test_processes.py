import pytest
import torch

from resnet_core.device_check.processes import ProcessFailed, started
from resnet_core.device_check.sharing import gain_of_two


def test_process_that_ends_tells_its_last_line() -> None:
    with started("ranks", [["cpu", "0"]]) as (process,), pytest.raises(ProcessFailed, match="ValueError: not enough"):
        process.read()


def test_two_processes_on_one_device_are_measured_against_one() -> None:
    """On the CPU, since what is measured is the same there."""
    gain = gain_of_two(torch.device("cpu"), steps=3)
    assert 0.1 < gain < 4
