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
# How long a service may take to answer for the first time where the reason may be a mistake in the configuration. The
# name of a service that is being installed can take a while to be known.
FIRST_ANSWER_SECONDS = 45

_answered: set[str] = set()  # the services that have answered this process


@dataclass
class Outages:
    """The times at which a service did not answer, and how long they lasted."""

    count: int = 0
    seconds: float = 0.0


OUTAGES = Outages()  # of this process


class OutageTooLong(Failure):
    """A service could not be reached for longer than a process waits."""


class NeverAnswered(OutageTooLong):
    """It has not been reached once, and the configuration may be wrong."""


@dataclass(frozen=True)
class Patience:
    """How long an outage may last; `beat` is called several times a second meanwhile, and what it raises ends it."""

    deadline_seconds: float
    beat: Callable[[], None] = interrupt.check

    def get_through(self, action: Callable[[], T], place: str, service: str | None = None) -> T:
        """What `action` returns once it raises Unreachable no more.

        Args:
            action: may have had its effect although it failed, when only the reply was lost: it has to allow for that.
            place: what cannot be reached, for messages.
            service: what has answered if the action succeeds; default: the place.

        Raises:
            OutageTooLong: no success within the deadline.
            NeverAnswered: none within FIRST_ANSWER_SECONDS, in a service that has never answered, for a reason that may
                be a mistake in the configuration.

        """
        started = told = counted = time.monotonic()
        pause, failed, service = FIRST_PAUSE, False, service or place
        while True:
            try:
                result = action()
            except Unreachable as error:
                now = time.monotonic()
                OUTAGES.count += not failed
                OUTAGES.seconds += now - counted
                counted = now
                doubtful = error.doubtful and service not in _answered
                deadline = min(self.deadline_seconds, FIRST_ANSWER_SECONDS) if doubtful else self.deadline_seconds
                if now - started > deadline:
                    kind = NeverAnswered if doubtful else OutageTooLong
                    raise kind(f"{place}: not reached for {now - started:.0f} s: {error}") from error
                if not failed or now - told > LOG_SECONDS:
                    left = deadline - (now - started)
                    # One that is installed at the same time takes a moment, which nobody has to be warned of.
                    level = logging.WARNING if failed or service in _answered else logging.INFO
                    log.log(level, "%s cannot be reached (%s), waiting for it, %.0f s at most", place, error, left)
                    failed, told = True, now
            else:
                _answered.add(service)
                if failed:
                    OUTAGES.seconds += time.monotonic() - counted
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
