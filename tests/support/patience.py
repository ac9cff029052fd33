"""How long tests wait for what must come.

So long that only what never comes fails: a machine may be busy with much else, and how fast something is no test says.
"""

import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

PATIENCE_SECONDS = 900.0


def poll(condition: Callable[[], object], seconds: float, pause: float = 0.1) -> bool:
    """Whether it came true within that time; looks again after each pause."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def until(
    reached: Callable[[], object], process: Popen[Any] | None = None, log: Callable[[], object] = lambda: "it has ended"
) -> None:
    """Waits; fails at once, with what `log` returns, when `process` ends before that."""

    def reached_while_it_runs() -> bool:
        if reached():
            return True
        assert process is None or process.poll() is None, log()
        return False

    assert poll(reached_while_it_runs, PATIENCE_SECONDS, pause=0.05), f"not within {PATIENCE_SECONDS:.0f} s"
