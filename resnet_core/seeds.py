"""Independent seeds, derived from one."""

import zlib

import numpy as np


def derive_seed(seed: int, *path: int | str) -> int:
    """A seed below 2**32 for the purpose named by `path`. It is the same on every machine."""
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in path]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1)[0])
