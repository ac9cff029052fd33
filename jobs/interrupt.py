"""SIGTERM and Ctrl-C as a flag that is looked at where stopping loses nothing."""

import signal
import threading
from types import FrameType

EXIT_INTERRUPTED = 75


class Interrupted(Exception):
    """The process was asked to end; its progress is saved."""


_requested = threading.Event()


def listen() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _request)


def requested() -> bool:
    return _requested.is_set()


def check() -> None:
    """Raises Interrupted once the process has been asked to end."""
    if _requested.is_set():
        raise Interrupted


def _request(number: int, _frame: FrameType | None) -> None:
    _requested.set()
    if number == signal.SIGINT:  # a second Ctrl-C ends the process where it is
        signal.signal(signal.SIGINT, signal.SIG_DFL)
