"""What an error of the database means: an outage to be waited out, a final refusal, or a mistake of ours."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoConnection

from jobs.runtime.disk import room_at
from jobs.runtime.errors import Refused, Unreachable

# Words of a server that refuses us for good, or of libpq about a connection string that cannot be right. libpq gives
# no error code where no connection was made.
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
# Words about what may be another host or port than was meant, as well as an outage.
MISTAKES = (
    "could not translate host name",
    "received invalid response to SSL negotiation",
    "expected authentication request from server",
)
REFUSED_VALUE = re.compile(r"^invalid \S+ value: ")  # of a parameter such as sslmode
ABSENT = re.compile(r'(role|database) ".*" does not exist')
# PostgreSQL's error codes; a standby or a server with a full disk is read-only.
NO_PRIVILEGE, READ_ONLY = "42501", "25006"

SQLITE_FULL, SQLITE_CANNOT_OPEN = 13, 14
SQLITE_OUTAGES = {5, 6, 10, SQLITE_FULL, SQLITE_CANNOT_OPEN, 15}  # busy, locked, I/O error, …, lock protocol
SQLITE_REFUSALS = {3, 8, 11, 26}  # no permission, read-only, corrupt, not a database


class DatabaseUnreachable(Unreachable):
    """The same may work in a while: a connection was lost or not made, a time-out, an I/O error."""


class Unsuitable(Exception):
    """The database cannot be used as it is; the message says why in one line, without the place."""


@contextlib.contextmanager
def database_errors(place: str) -> Iterator[None]:
    """Raises DatabaseUnreachable for an outage, Refused for a final refusal, and any other error as it is."""
    try:
        yield
    except Unsuitable as error:
        raise Refused(f"{place}: {error}") from None
    except Exception as error:
        cause = _database_error(error)
        words = _refusal(cause)
        if words is not None:
            raise Refused(f"{place}: {words}") from None
        if _is_outage(cause):
            raise _outage(cause, place) from error
        raise


def error_code(error: BaseException) -> str | None:
    """PostgreSQL's code of an error, be it the driver's or SQLAlchemy's; None where it has none."""
    return getattr(error.orig if isinstance(error, DBAPIError) else error, "pgcode", None)


def _outage(cause: BaseException, place: str) -> DatabaseUnreachable:
    text = str(cause.orig if isinstance(cause, DBAPIError) else cause).strip()
    reason = text.splitlines()[0] if text else type(cause).__name__
    code = _sqlite_code(cause)
    if code == SQLITE_FULL:
        reason = f"{reason}, {room_at(Path(place))}"
    elif code == SQLITE_CANNOT_OPEN and not Path(place).parent.is_dir():
        reason = f"{reason}: no folder {Path(place).parent}"
    doubtful = code in (SQLITE_FULL, SQLITE_CANNOT_OPEN) or any(words in reason for words in MISTAKES)
    return DatabaseUnreachable(reason, doubtful=doubtful)


def _sqlite_code(cause: BaseException) -> int | None:
    """SQLite's code of an error, without what it says in the upper bits; None for other databases."""
    code = getattr(cause.orig if isinstance(cause, DBAPIError) else cause, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_outage(cause: BaseException) -> bool:
    if isinstance(cause, DBAPIError):
        code = _sqlite_code(cause)
        if code is not None:
            return code in SQLITE_OUTAGES
        if error_code(cause) == READ_ONLY:
            return True
        return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)
    return isinstance(cause, NoConnection | PendingRollbackError)


def _refusal(cause: BaseException) -> str | None:
    """What the database says, in one line, if it refuses us for good."""
    if not isinstance(cause, DBAPIError):
        return None
    text = " ".join(str(cause.orig).split())
    code = _sqlite_code(cause)
    if code is not None:
        return text if code in SQLITE_REFUSALS else None
    if error_code(cause) == NO_PRIVILEGE:
        return text
    if not isinstance(cause, OperationalError):
        return None
    final = any(words in text.lower() for words in REFUSALS) or REFUSED_VALUE.search(text) or ABSENT.search(text)
    return text if final else None


def _database_error(error: Exception) -> BaseException:
    """SQLAlchemy's error, which Optuna wraps into one of its own."""
    wraps = error.__cause__ is not None and type(error).__name__ == "StorageInternalError"
    return error.__cause__ if wraps and error.__cause__ else error
