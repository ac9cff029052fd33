"""How long tests wait for what must come.

So long that only what never comes fails: a machine may be busy with much else, and how fast something is no test says.
"""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 900.0


def until(reached: Callable[[], object], pause_seconds: float = 0.05) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:.0f} s"
        time.sleep(pause_seconds)
