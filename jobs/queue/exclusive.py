"""Work besides the trials that only one process may do at a time: claimed, leased and fenced as a trial is."""

import contextlib
import logging
import time
from collections.abc import Iterator

from sqlalchemy import Connection

from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.connections import connect
from jobs.queue.database import Database
from jobs.queue.lease import Lease
from jobs.runtime import interrupt
from jobs.runtime.errors import Failure
from jobs.runtime.identity import owner_identity
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings

log = logging.getLogger(__name__)

RESULT, FINAL_TRAINING = "result", "final-train"  # of `prepare` and `evaluate`; of each seed
POLL_SECONDS = 0.5
GIVING_BACK = Patience(5, lambda: None)


class Hold:
    """A claim that its lease keeps alive."""

    def __init__(self, database: Database, claim: Claim, lease: Lease) -> None:
        self._database, self._lease, self.claim = database, lease, claim

    def beat(self) -> None:
        """To be called at every step. Raises LeaseLost once somebody else may have claimed the work."""
        self._lease.beat()

    def check(self) -> None:
        """To be called before anything is changed. Raises LeaseLost unless the database has the claim, too."""
        self.beat()
        if not self._database.read(lambda connection: claims.is_held(connection, self.claim)):
            raise LeaseLost(f"{self.claim.study}: {self.claim.name} does not hold it any more")


@contextlib.contextmanager
def exclusively(
    database: Database, settings: Settings, study: str, work: str, number: int = 0, *, steps: bool = False
) -> Iterator[Hold]:
    """Does work while nobody else does; waits until it is free.

    Args:
        database: that the study is in.
        settings: of this process.
        study: its name.
        work: RESULT or FINAL_TRAINING.
        number: of the piece, where there are several of the kind.
        steps: whether the work calls `beat` at every step. If it does, it is lost when the beats stop for HANG_SECONDS.

    Raises:
        Interrupted: the process was asked to end while it waited.
        OutageTooLong, Refused: the database cannot be reached.

    """
    claim, claimed_at = _wait_for(database, settings, _name(study, work), number)
    engine = connect(settings.database_url, settings.database_timeout_seconds)
    try:
        with Lease(engine, claim, settings, claimed_at, steps=steps) as lease:
            yield Hold(database, claim, lease)
    finally:
        engine.dispose()
        _give_back(database, claim)


def owners(connection: Connection, study: str, work: str, number: int = 0) -> dict[int, str]:
    """By its fence, who has claimed a piece of work."""
    return claims.owners(connection, _name(study, work), number)


def _name(study: str, work: str) -> str:
    return f"{study}/{work}"  # no study's own: a name of a study has no slash


def _wait_for(database: Database, settings: Settings, work: str, number: int) -> tuple[Claim, float]:
    """A claim, and the time by this process's clock at which it was asked for."""
    owner, told = owner_identity(settings.job_completion_index), False

    def claim(connection: Connection) -> Claim | None:
        return claims.claim_work(connection, work, number, owner, settings.lease_seconds)

    while True:
        asked = time.monotonic()
        held = database.write(claim)
        if held is not None:
            return held, asked
        if not told:
            log.info("%s is held by another process: waiting until that is done, or its lease has run out", work)
            told = True
        interrupt.pause(POLL_SECONDS)


def _give_back(database: Database, claim: Claim) -> None:
    try:
        database.waiting(GIVING_BACK).write(lambda connection: claims.give_back(connection, claim))
    except Failure as error:
        log.warning("%s is not given back, its lease will run out: %s", claim.study, error)
