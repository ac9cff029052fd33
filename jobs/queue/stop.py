"""The command `stop`: ends a sweep before its trials are used up."""

import logging
import time

from jobs.queue import claims
from jobs.queue.claim import LeaseLost
from jobs.queue.claimed_trial import settle_trial
from jobs.queue.database import Database
from jobs.queue.outcomes import Outcome
from jobs.queue.slots import read_slots
from jobs.queue.tables import SlotState
from jobs.runtime.identity import owner_identity

log = logging.getLogger(__name__)

MESSAGE = "stopped by hand"
SEIZE_SECONDS = 60  # the lease in which a trial is settled
PAUSE_SECONDS = 0.2


def stop_sweep(database: Database, study: str, *, now: bool) -> tuple[int, int]:
    """Begins no more trials. With `now` those that run are ended too: their workers find the lease lost.

    Returns how many were cancelled before and after they had begun.
    """
    owner = owner_identity()
    unbegun = database.write(lambda connection: claims.cancel_unbegun(connection, study, owner, MESSAGE))
    begun = 0
    while now and _unsettled(database, study):
        held = database.write(lambda connection: claims.claim(connection, study, owner, SEIZE_SECONDS, seize=True))
        if held is None:  # others have the remaining slots locked at this moment
            time.sleep(PAUSE_SECONDS)
            continue
        try:
            settle_trial(database, held, Outcome(SlotState.CANCELLED, MESSAGE))
            begun += 1
        except LeaseLost:
            log.info("slot %d is being stopped by another process", held.slot)
    return unbegun, begun


def _unsettled(database: Database, study: str) -> bool:
    return any(not row.state.settled for row in database.read(lambda connection: read_slots(connection, study)))
