import pytest
import torch

from resnet_core.device_failure import is_device_failure
from resnet_core.out_of_memory import describe_out_of_memory, is_out_of_memory

# As torch 2.11 to 2.15 raise them, from aten/src/ATen/native/cudnn/Conv_v8.cpp and c10.
MEMORY = [
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
]
DEVICE = [
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
]
NEITHER = [RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), ValueError("unable to find an engine")]


@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_memory_that_ran_out_is_no_failure_of_the_device(error: BaseException) -> None:
    assert is_out_of_memory(error)
    assert not is_device_failure(error)


@pytest.mark.parametrize("error", DEVICE, ids=str)
def test_failure_of_the_device_is_not_taken_for_missing_memory(error: BaseException) -> None:
    assert is_device_failure(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", NEITHER, ids=str)
def test_other_errors_are_neither(error: BaseException) -> None:
    assert not is_out_of_memory(error)
    assert not is_device_failure(error)


def test_line_says_what_cudnn_means_when_it_finds_no_engine() -> None:
    line = describe_out_of_memory(MEMORY[0], torch.device("cuda:0"), "with batches of 512", "smaller ones need less")
    assert line == (
        "out of memory on cuda:0 with batches of 512: cuDNN was unable to find an engine to execute this "
        "computation, which it says when there is no room for its workspace; smaller ones need less"
    )
