import ctypes
import platform
import resource
from multiprocessing import get_context
from pathlib import Path

import pytest

from resnet_core.cpu.memory import memory_kept

BLOCK = 64 * 2**20
PAGES = BLOCK // resource.getpagesize()

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")


def faults_of_one_block() -> int:
    """Page faults of taking a block, writing to all of it and freeing it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    libc = ctypes.CDLL("libc.so.6")
    libc.malloc.restype = libc.memset.restype = ctypes.c_void_p
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(BLOCK)))
    libc.memset(block, 1, ctypes.c_size_t(BLOCK))
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_block_freed_inside_is_used_again_without_a_page_fault() -> None:
    with memory_kept():
        faults_of_one_block()
        assert faults_of_one_block() < PAGES / 100


def test_memory_goes_back_at_the_end() -> None:
    """In a process of its own: elsewhere something may lie above the block, and then it stays."""
    alone = get_context("spawn").Process(target=check_that_memory_goes_back)
    alone.start()
    alone.join()
    assert alone.exitcode == 0


def check_that_memory_goes_back() -> None:
    with memory_kept():
        faults_of_one_block()
        kept = resident_bytes()
    assert resident_bytes() < kept - BLOCK / 2
    faults_of_one_block()
    assert resident_bytes() < kept - BLOCK / 2
