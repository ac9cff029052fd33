"""Failures of the device itself. After one of them every call to the device fails in this process."""

import re

import torch

from resnet_core.out_of_memory import is_out_of_memory

# In messages of a plain RuntimeError. A status such as NOT_SUPPORTED is a fault of what was asked, not of the device.
FAILURES = re.compile(
    r"(CUDA|HIP) error: (?!CU\w+_STATUS_)|_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|NOT_INITIALIZED)"
)


def is_device_failure(error: BaseException) -> bool:
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and FAILURES.search(str(error)) is not None
