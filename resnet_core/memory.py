"""The C library's memory, kept from step to step.

glibc takes every block of 32 MiB and more from the kernel and gives it back when it is freed, and the top of its heap
likewise. Activations of that size (batch 128, 64 channels, 32 x 32 pixels) then cost a page fault for each 4 KiB in
every step: a ReLU of one takes 13 ms on one core, and 2.5 ms in memory that was kept.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# mallopt(3)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
NEVER = 2**31 - 1
DEFAULT_BLOCKS = 65_536
# Where glibc's own adjustment ends in a process that has freed large blocks.
LARGEST_THRESHOLD = 32 * 2**20


@contextmanager
def memory_kept() -> Iterator[None]:
    """What is freed inside is kept for what comes next; at the end it goes back to the kernel.

    Without glibc (musl, macOS) nothing changes.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, DEFAULT_BLOCKS)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_THRESHOLD)
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL("libc.so.6") if platform.libc_ver()[0] == "glibc" else None
