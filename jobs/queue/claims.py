"""Claims on slots: which worker runs which trial. N slots are N trials, and each is settled exactly once.

A worker owns a slot for the length of a lease and renews it. Each claim raises the slot's fence; every write names
the owner and the fence it was claimed with, so what a former owner still writes changes nothing. A fence is never
lowered, but a database that fails over to a standby may forget a claim and give its fence to another owner.

All functions run within the transaction of the connection that they are given.
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from jobs.queue.claim import (
    Claim,
    LeaseLost,
    TrialAttached,
    is_claimed_by,
    is_free,
    is_held_by,
    is_not_failed_at,
    is_unknown,
    is_unsettled,
)
from jobs.queue.ledger import others_work
from jobs.queue.outcomes import Outcome
from jobs.queue.tables import UNCLAIMED, SlotState, database_now, ledger, slots
from jobs.runtime.identity import workplace


def claim(
    connection: Connection, study: str, owner: str, lease_seconds: float, gpus: float = 0, *, seize: bool = False
) -> Claim | None:
    """Claims a slot that waits or whose lease has run out, and returns the claim; None when there is no such slot.

    With `seize` also a slot that another owner holds, who will find the lease lost.

    First of all comes a slot that is this owner's already: the reply to its last claim was lost, or it dropped the
    trial in an outage. Then come slots whose trial has begun, so that what is begun is finished before more is begun;
    but what has failed comes after what has not. A slot whose last attempt failed at this owner's workplace is left to
    the others, as long as there are others.
    An owner who let the lease run out costs the trial a crash.
    """
    if seize:
        return _claim(connection, study, owner, lease_seconds, gpus, is_unsettled())
    free, place = is_free(database_now(connection)), workplace(owner)
    held = _claim(connection, study, owner, lease_seconds, gpus, sa.and_(free, is_not_failed_at(place)))
    if held is None and _count(connection, study, free) and not others_work(connection, study, place, lease_seconds):
        held = _claim(connection, study, owner, lease_seconds, gpus, free)
    return held


def _claim(
    connection: Connection, study: str, owner: str, lease_seconds: float, gpus: float, may_be: sa.ColumnElement[bool]
) -> Claim | None:
    own = sa.and_(slots.c.state == SlotState.RUNNING, slots.c.owner == owner)
    candidate = (
        sa.select(slots.c.slot)
        .where(slots.c.study == study, sa.or_(own, may_be))
        .order_by(sa.case((own, 0), else_=1), slots.c.attempts, slots.c.trial_id.is_(None), slots.c.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    crashed = sa.and_(slots.c.state == SlotState.RUNNING, slots.c.owner != owner)
    changed = connection.execute(
        sa.update(slots)
        .where(slots.c.study == study, slots.c.slot == candidate)
        .values(
            previous=slots.c.state,
            previous_end=slots.c.lease_end,
            state=SlotState.RUNNING,
            owner=owner,
            gpus=gpus,
            fence=slots.c.fence + 1,
            lease_end=database_now(connection) + lease_seconds,
            crashes=slots.c.crashes + sa.case((crashed, 1), else_=0),
        )
        .returning(slots)
    )
    row = changed.mappings().one_or_none()
    if row is None:
        return None
    taken = Claim.of(row)
    record_change(connection, taken, SlotState(row["previous"]), SlotState.RUNNING, row["previous_end"])
    return taken


def claim_work(connection: Connection, work: str, number: int, owner: str, lease_seconds: float) -> Claim | None:
    """Claims a piece of work that is no trial, and which only one process may do at a time; None while another does.

    It is a slot as those of trials are, but is never settled: what the work has left says whether it is done.

    Args:
        connection: with a transaction.
        work: as `jobs.queue.exclusive` names it.
        number: of the piece, where there are several of the kind.
        owner: who claims it.
        lease_seconds: for which the claim lasts unless it is renewed.

    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    unclaimed = {"study": work, "slot": number} | UNCLAIMED
    connection.execute(insert(slots).values(unclaimed).on_conflict_do_nothing())
    this = sa.and_(is_free(database_now(connection)), slots.c.slot == number)
    return _claim(connection, work, owner, lease_seconds, 0, this)


def owners(connection: Connection, study: str, slot: int) -> dict[int, str]:
    """By its fence, who has claimed the slot, as the ledger knows it: a database that has failed over has lost some."""
    claimed = sa.select(ledger.c.fence, ledger.c.owner).where(
        ledger.c.study == study, ledger.c.slot == slot, ledger.c.to_state == SlotState.RUNNING
    )
    return {row.fence: row.owner for row in connection.execute(claimed)}


def is_held(connection: Connection, held: Claim) -> bool:
    """Whether the claim still holds. Its lease may have run out, as long as nobody else has claimed the slot."""
    return bool(_count(connection, held.study, is_held_by(held)))


def claimable(connection: Connection, study: str) -> int:
    """How many slots wait for an owner, or have one whose lease has run out."""
    return _count(connection, study, is_free(database_now(connection)))


def claimable_at(connection: Connection, study: str, place: str, lease_seconds: float) -> int:
    """How many slots `claim` would find now for an owner at this workplace."""
    free = is_free(database_now(connection))
    count, left = _count(connection, study, sa.and_(free, is_not_failed_at(place))), _count(connection, study, free)
    return count if count or not left or others_work(connection, study, place, lease_seconds) else left


def renew(connection: Connection, held: Claim, lease_seconds: float) -> bool:
    """Starts the lease anew if it is still this owner's, and returns whether it was."""
    return _update(connection, held, lease_end=database_now(connection) + lease_seconds)


def decide_stop(connection: Connection, held: Claim, epoch: int, *, stops: bool) -> bool:
    """Notes whether early stopping ends the trial after `epoch`, and returns the decision that holds: the first.

    A pruner that is asked again, after a lost reply or by the next owner, may give another answer.
    """
    decided = slots.c.decided_epoch == epoch
    row = connection.execute(
        sa.update(slots)
        .where(is_held_by(held))
        .values(decided_epoch=epoch, stops=sa.case((decided, slots.c.stops), else_=stops))
        .returning(slots.c.stops)
    ).one_or_none()
    if row is None:
        raise _lost(held)
    return bool(row.stops)


def attach_trial(connection: Connection, held: Claim, trial_id: int) -> None:
    """Writes the id of the trial that was created for the slot into it.

    Raises:
        LeaseLost: somebody else has claimed the slot since.
        TrialAttached: the slot has a trial already.

    """
    unattached = sa.update(slots).where(is_held_by(held), slots.c.trial_id.is_(None)).values(trial_id=trial_id)
    if connection.execute(unattached).rowcount == 0:
        former = connection.scalar(sa.select(slots.c.trial_id).where(is_held_by(held)))
        raise _lost(held) if former is None else TrialAttached(held, former)


def forget_crashes(connection: Connection, held: Claim) -> None:
    """Sets the crashes to 0: a trial that has reported an epoch does not kill its processes."""
    _require(_update(connection, held, crashes=0), held)


def settle(connection: Connection, held: Claim, outcome: Outcome) -> None:
    assert outcome.state.settled
    _require(_update(connection, held, **vars(outcome), lease_end=None), held)
    record_change(connection, held, SlotState.RUNNING, outcome.state)


def may_be_tried_again(connection: Connection, held: Claim, max_attempts: int, lease_seconds: float) -> bool:
    """Whether an attempt that fails now leaves the trial others.

    The last attempt counts as such only if another workplace could not run the trial either, or if there is no other:
    where all that failed is one workplace, the fault may be there.
    """
    if held.attempts + 1 < max_attempts:
        return True
    return not held.failed_at_another and others_work(connection, held.study, workplace(held.owner), lease_seconds)


def give_back(connection: Connection, held: Claim, failure: Outcome | None = None, *, of_device: bool = False) -> None:
    """Frees the slot for the next owner, if it is still this one's.

    A failure costs the trial an attempt; one of the device does so only after an attempt has failed elsewhere, too.
    """
    values: dict[str, Any] = {"state": SlotState.WAITING, "owner": None, "lease_end": None}
    if failure is not None:
        costs = held.failed_at_another or not of_device
        values |= {"message": failure.message, "traceback": failure.traceback, "attempts": held.attempts + costs}
        values |= {"failed_at": workplace(held.owner), "failed_elsewhere": held.failed_at_another}
    if _update(connection, held, **values):
        record_change(connection, held, SlotState.RUNNING, SlotState.WAITING)


def check_fence(connection: Connection, held: Claim) -> None:
    """Locks the slot's row for this transaction.

    Raises:
        LeaseLost: it is not this owner's any more.

    """
    _require(connection.scalar(sa.select(slots.c.slot).where(is_held_by(held)).with_for_update()) is not None, held)


def read_own(connection: Connection, held: Claim) -> tuple[SlotState, int | None]:
    """The state and the trial id of a slot that this owner has, or had until it settled it itself.

    Raises:
        LeaseLost: somebody else has claimed it since.

    """
    query = sa.select(slots.c.state, slots.c.trial_id)
    row = connection.execute(query.where(is_claimed_by(held))).one_or_none()
    if row is None or row.state == SlotState.WAITING:
        raise _lost(held)
    return SlotState(row.state), row.trial_id


def cancel_unbegun(connection: Connection, study: str, owner: str, message: str) -> int:
    """Settles every slot that has no trial yet as cancelled, all at once, and returns how many."""
    unbegun = sa.and_(slots.c.state == SlotState.WAITING, slots.c.trial_id.is_(None))
    return _cancel(connection, study, unbegun, owner, message)


def cancel_unknown(connection: Connection, study: str, owner: str, message: str) -> int:
    """The same for the confirmations that still wait for their configuration."""
    return _cancel(connection, study, is_unknown(), owner, message)


def _cancel(connection: Connection, study: str, which: sa.ColumnElement[bool], owner: str, message: str) -> int:
    unclaimed = sa.and_(slots.c.study == study, which)
    cancelled = {"state": SlotState.CANCELLED, "fence": slots.c.fence + 1, "message": message}
    rows = connection.execute(sa.update(slots).where(unclaimed).values(cancelled).returning(slots)).mappings().all()
    for row in rows:
        by_owner = replace(Claim.of(row), owner=owner, gpus=0)
        record_change(connection, by_owner, SlotState.WAITING, SlotState.CANCELLED)
    return len(rows)


def record_change(
    connection: Connection, held: Claim, before: SlotState, after: SlotState, lease_end: float | None = None
) -> None:
    """Adds a row to the ledger, in the transaction that changes the slot."""
    slot = {"study": held.study, "slot": held.slot, "fence": held.fence, "owner": held.owner, "gpus": held.gpus}
    change = {"from_state": before, "to_state": after, "at": database_now(connection), "lease_end": lease_end}
    connection.execute(sa.insert(ledger).values(slot | change))


def count_unknown(connection: Connection, study: str) -> int:
    """How many confirmations wait for their configuration."""
    return _count(connection, study, is_unknown())


def count_unsettled(connection: Connection, study: str) -> int:
    return _count(connection, study, is_unsettled())


def count_running(connection: Connection, study: str) -> int:
    return _count(connection, study, slots.c.state == SlotState.RUNNING)


def _count(connection: Connection, study: str, condition: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(slots).where(slots.c.study == study, condition)
    return connection.scalar(query) or 0


def _update(connection: Connection, held: Claim, **values: Any) -> bool:
    return connection.execute(sa.update(slots).where(is_held_by(held)).values(**values)).rowcount == 1


def _require(still_held: bool, held: Claim) -> None:
    if not still_held:
        raise _lost(held)


def _lost(held: Claim) -> LeaseLost:
    return LeaseLost(f"slot {held.slot}: the claim with fence {held.fence} is no longer the newest")
