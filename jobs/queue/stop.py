"""The command `stop`: ends a sweep before its trials are used up."""

import logging
import time

from jobs.experiment.confirmation import confirmation_name
from jobs.queue import claims
from jobs.queue.claim import LeaseLost
from jobs.queue.claimed_trial import settle_trial
from jobs.queue.confirmations import cancel_unbegun
from jobs.queue.database import Database
from jobs.queue.outcomes import Outcome
from jobs.queue.tables import SlotState
from jobs.runtime.identity import owner_identity

log = logging.getLogger(__name__)

MESSAGE = "stopped by hand"
SEIZE_SECONDS = 60  # the lease in which a trial is settled
PAUSE_SECONDS = 0.2


def stop_sweep(database: Database, study: str, *, now: bool) -> tuple[int, int]:
    """Begins no more trials and confirmations. With `now` those that run are ended, whose workers find the lease lost.

    Returns how many of both were cancelled before and after they had begun.
    """
    owner = owner_identity()
    unbegun = database.write(lambda connection: cancel_unbegun(connection, study, owner, MESSAGE))
    begun = sum(_end_running(database, name, owner) for name in (study, confirmation_name(study))) if now else 0
    return unbegun, begun


def _end_running(database: Database, study: str, owner: str) -> int:
    ended = 0
    while _unsettled(database, study):
        held = database.write(lambda connection: claims.claim(connection, study, owner, SEIZE_SECONDS, seize=True))
        if held is None:  # others have the remaining slots locked at this moment
            time.sleep(PAUSE_SECONDS)
            continue
        try:
            settle_trial(database, held, Outcome(SlotState.CANCELLED, MESSAGE))
            ended += 1
        except LeaseLost:
            log.info("slot %d is being stopped by another process", held.slot)
    return ended


def _unsettled(database: Database, study: str) -> bool:
    return bool(database.read(lambda connection: claims.count_unsettled(connection, study)))
