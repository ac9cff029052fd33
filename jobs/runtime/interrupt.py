"""SIGTERM and Ctrl-C set a flag. A process checks it wherever it can stop without losing progress.

Each check is also a heartbeat, because only a process that makes progress reaches the next one.
"""

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

from jobs.runtime.heartbeat import Heartbeat

EXIT_INTERRUPTED = 75
PAUSE_SECONDS = 0.2  # a pause checks the flag this often


class Interrupted(Exception):
    """The process was asked to end, and its progress is saved."""


_requested = threading.Event()
_heartbeat: Heartbeat | None = None


# The kernel ignores SIGTERM for process 1 of a container until there is a handler. Nothing has begun yet: exit at once.
if os.getpid() == 1:
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(EXIT_INTERRUPTED))


def listen(heartbeat_dir: Path | None = None) -> None:
    """From now on signals set the flag, and each `check` touches this process's heartbeat file in `heartbeat_dir`."""
    global _heartbeat  # noqa: PLW0603 - a process has one, as it has one set of signal handlers
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _request)
    if heartbeat_dir is not None:
        _heartbeat = Heartbeat(heartbeat_dir)
        _heartbeat.beat()


def end() -> None:
    """Removes the heartbeat file, so that no probe expects more of this process."""
    global _heartbeat  # noqa: PLW0603
    if _heartbeat is not None:
        _heartbeat.end()
        _heartbeat = None


def requested() -> bool:
    return _requested.is_set()


def beat() -> None:
    """Only the heartbeat, for where stopping would lose progress."""
    if _heartbeat is not None:
        _heartbeat.beat()


def check() -> None:
    """Raises Interrupted once the process has been asked to end."""
    beat()
    if _requested.is_set():
        raise Interrupted


def pause(seconds: float) -> None:
    """Sleeps. Raises Interrupted soon after the process is asked to end.

    It does not wait on the event itself: the signal handler runs in this same thread, and would wait forever for the
    event's lock if `Event.wait` held it at that moment.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, PAUSE_SECONDS))
    check()


def _request(number: int, _frame: FrameType | None) -> None:
    _requested.set()
    if number == signal.SIGINT:  # a second Ctrl-C ends the process at once
        signal.signal(signal.SIGINT, signal.SIG_DFL)
