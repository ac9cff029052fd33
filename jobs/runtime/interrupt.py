"""SIGTERM and Ctrl-C as a flag that is looked at where stopping loses nothing; each look is a sign of life."""

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

from jobs.runtime.heartbeat import Heartbeat

EXIT_INTERRUPTED = 75
PAUSE_SECONDS = 0.2  # at most so long a signal is not looked at


class Interrupted(Exception):
    """The process was asked to end; its progress is saved."""


_requested = threading.Event()
_heartbeat: Heartbeat | None = None


if os.getpid() == 1:  # of a container: until it listens, the kernel drops its signals, and nothing is begun yet
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(EXIT_INTERRUPTED))


def listen(heartbeat_dir: Path | None = None) -> None:
    """From now on signals raise the flag, and every `check` keeps this process's file in `heartbeat_dir` young."""
    global _heartbeat  # noqa: PLW0603 - a process has one, as it has one set of signal handlers
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _request)
    if heartbeat_dir is not None:
        _heartbeat = Heartbeat(heartbeat_dir)
        _heartbeat.beat()


def end() -> None:
    """No more signs of life are to be expected."""
    global _heartbeat  # noqa: PLW0603
    if _heartbeat is not None:
        _heartbeat.end()
        _heartbeat = None


def requested() -> bool:
    return _requested.is_set()


def beat() -> None:
    """A sign of life, where stopping would lose something."""
    if _heartbeat is not None:
        _heartbeat.beat()


def check() -> None:
    """Raises Interrupted once the process has been asked to end."""
    beat()
    if _requested.is_set():
        raise Interrupted


def pause(seconds: float) -> None:
    """Sleeps; raises Interrupted soon after the process is asked to end.

    Not by waiting for the event: its lock, held by the main thread at that moment, would never let the handler set it.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, PAUSE_SECONDS))
    check()


def _request(number: int, _frame: FrameType | None) -> None:
    _requested.set()
    if number == signal.SIGINT:  # a second Ctrl-C ends the process where it is
        signal.signal(signal.SIGINT, signal.SIG_DFL)
