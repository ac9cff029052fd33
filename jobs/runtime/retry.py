"""Outages of the database and of the artifacts: what they are, and how they are waited out."""

import logging
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoConnection

from jobs.runtime import interrupt
from jobs.runtime.errors import Failure, Refused, Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds; doubled in between
BEAT_SECONDS = 0.2
LOG_SECONDS = 30

# What a server says that refuses us for good, and libpq of a connection string that cannot be right. libpq gives no
# code for a connection that was not made.
REFUSALS = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "is not permitted to log in",
    "permission denied",
    "certificate verify failed",
    "root certificate file",
    "does not support ssl",
    "does not match host name",
    "channel binding required",
    "authentication method requirement",
    "unrecognized configuration parameter",
    "invalid port number",
    "definition of service",
)
REFUSED_VALUE = re.compile(r"^invalid \S+ value: ")  # of a parameter such as sslmode
ABSENT = re.compile(r'(role|database) ".*" does not exist')
NO_PRIVILEGE, READ_ONLY = "42501", "25006"  # PostgreSQL's codes; read-only is a standby, or a full disk

SQLITE_OUTAGES = {5, 6, 10, 13, 14, 15}  # busy, locked, I/O error, disk full, cannot open, lock protocol
SQLITE_REFUSALS = {3, 8, 11, 26}  # no permission, read-only, corrupt, not a database


class OutageTooLong(Failure):
    """The database or the artifacts could not be reached for longer than a process waits."""


class NotAcknowledged(Exception):
    """A write that should be there is not there; it is to be written again."""


def is_outage(error: BaseException) -> bool:
    """Whether the same may work in a while: connections lost or not made, time-outs, I/O errors."""
    if isinstance(error, Unreachable | NotAcknowledged):
        return True
    cause = database_error(error)
    if isinstance(cause, DBAPIError):
        code = getattr(cause.orig, "sqlite_errorcode", None)
        if code is not None:
            return code & 0xFF in SQLITE_OUTAGES
        if getattr(cause.orig, "pgcode", None) == READ_ONLY:
            return True
        return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)
    return isinstance(cause, NoConnection | PendingRollbackError)


def refusal(error: BaseException) -> str | None:
    """The words, in one line, in which the database refuses us for good."""
    cause = database_error(error)
    if not isinstance(cause, DBAPIError):
        return None
    text = " ".join(str(cause.orig).split())
    code = getattr(cause.orig, "sqlite_errorcode", None)
    if code is not None:
        return text if code & 0xFF in SQLITE_REFUSALS else None
    if getattr(cause.orig, "pgcode", None) == NO_PRIVILEGE:
        return text
    if not isinstance(cause, OperationalError):
        return None
    final = any(words in text.lower() for words in REFUSALS) or REFUSED_VALUE.search(text) or ABSENT.search(text)
    return text if final else None


def database_error(error: BaseException) -> BaseException:
    """SQLAlchemy's error, which Optuna wraps into one of its own."""
    wraps = error.__cause__ is not None and type(error).__name__ == "StorageInternalError"
    return error.__cause__ if wraps and error.__cause__ else error


def patiently(
    action: Callable[[], T],
    *,
    place: str,
    deadline_seconds: float,
    beat: Callable[[], None] = interrupt.check,
) -> T:
    """What `action` returns once it gets through; it is tried again as long as outages stop it.

    Args:
        action: may have had its effect although it failed (the reply was lost): it has to allow for that.
        place: what cannot be reached, for messages.
        deadline_seconds: how long an outage may last.
        beat: called several times a second while waiting; what it raises ends the waiting.

    Raises:
        Refused: the database has said that waiting is no use.
        OutageTooLong: no success within the deadline.

    """
    started = told = time.monotonic()
    pause, failed = FIRST_PAUSE, False
    while True:
        try:
            result = action()
        except Exception as error:
            words = refusal(error)
            if words is not None:
                raise Refused(f"{place}: {words}") from None
            if not is_outage(error):
                raise
            now = time.monotonic()
            reason = _reason(error)
            if now - started > deadline_seconds:
                raise OutageTooLong(f"{place}: not reached for {now - started:.0f} s: {reason}") from error
            if not failed or now - told > LOG_SECONDS:
                failed, told = True, now
                log.warning(
                    "%s cannot be reached (%s), waiting for it, %.0f s at most",
                    place,
                    reason,
                    deadline_seconds - (now - started),
                )
            _wait(pause * random.uniform(0.5, 1), beat)  # so that not all come back at once
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            if failed:
                log.info("%s is back after %.1f s", place, time.monotonic() - started)
            return result


def _wait(seconds: float, beat: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    beat()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, BEAT_SECONDS))
        beat()


def _reason(error: BaseException) -> str:
    cause = database_error(error)
    text = str(cause.orig if isinstance(cause, DBAPIError) else cause).strip()
    return text.splitlines()[0] if text else type(cause).__name__
