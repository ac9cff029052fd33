"""A person's hand on a sweep: ending it before its trials are used up."""

import logging
import time

from jobs.queue import claims
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.outcomes import Outcome, settle_trial
from jobs.queue.slots import read_slots
from jobs.queue.tables import SlotState
from jobs.runtime.settings import owner_identity

log = logging.getLogger(__name__)

MESSAGE = "stopped by hand"
SEIZE_SECONDS = 60  # a lease for as long as one settlement takes
PAUSE_SECONDS = 0.2


def stop_sweep(storage: FencedStorage, study: str, *, now: bool) -> tuple[int, int]:
    """Begins no more trials. With `now` those that run are ended too: their workers find the lease lost.

    Returns how many were cancelled before and after they had begun.
    """
    owner = owner_identity()
    unbegun = claims.cancel_unbegun(storage.engine, study, owner, MESSAGE)
    begun = 0
    while now and _unsettled(storage, study):
        held = claims.claim(storage.engine, study, owner, SEIZE_SECONDS, seize=True)
        if held is None:  # what is left is being written to at this moment
            time.sleep(PAUSE_SECONDS)
            continue
        storage.held = held
        try:
            settle_trial(storage, held, Outcome(SlotState.CANCELLED, MESSAGE))
            begun += 1
        except claims.LeaseLost:
            log.info("slot %d is being stopped by another process", held.slot)
        finally:
            storage.held = None
    return unbegun, begun


def _unsettled(storage: FencedStorage, study: str) -> bool:
    with storage.engine.connect() as connection:
        return any(not row.state.settled for row in read_slots(connection, study))
