"""Waiting for a service that is away: what it was asked is tried again until it answers or the patience is over."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from jobs.runtime import interrupt
from jobs.runtime.errors import Failure, Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds; doubled in between
BEAT_SECONDS = 0.2
LOG_SECONDS = 30


class OutageTooLong(Failure):
    """A service could not be reached for longer than a process waits."""


@dataclass(frozen=True)
class Patience:
    """How long an outage may last; `beat` is called several times a second meanwhile, and what it raises ends it."""

    deadline_seconds: float
    beat: Callable[[], None] = interrupt.check

    def get_through(self, action: Callable[[], T], place: str) -> T:
        """What `action` returns once it raises Unreachable no more.

        Args:
            action: may have had its effect although it failed, when only the reply was lost: it has to allow for that.
            place: what cannot be reached, for messages.

        Raises:
            OutageTooLong: no success within the deadline.

        """
        started = told = time.monotonic()
        pause, failed = FIRST_PAUSE, False
        while True:
            try:
                result = action()
            except Unreachable as error:
                now = time.monotonic()
                if now - started > self.deadline_seconds:
                    raise OutageTooLong(f"{place}: not reached for {now - started:.0f} s: {error}") from error
                if not failed or now - told > LOG_SECONDS:
                    failed, told = True, now
                    left = self.deadline_seconds - (now - started)
                    log.warning("%s cannot be reached (%s), waiting for it, %.0f s at most", place, error, left)
            else:
                if failed:
                    log.info("%s is back after %.1f s", place, time.monotonic() - started)
                return result
            self._wait(pause * random.uniform(0.5, 1))  # so that not all come back at once
            pause = min(2 * pause, LONGEST_PAUSE)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.beat()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BEAT_SECONDS))
            self.beat()
