"""Claims on slots: which worker runs which trial. N slots are N trials, and each is settled exactly once.

A worker owns a slot for the length of a lease and renews it. Each claim raises the slot's fence; every write names
the fence it was claimed with, so what a former owner still writes changes nothing. A fence is never lowered.

All functions run within the transaction of the connection that they are given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import Connection

from jobs.queue.outcomes import Outcome
from jobs.queue.tables import SlotState, database_now, ledger, slots


class LeaseLost(Exception):
    """Another owner has claimed the slot since; what this one was about to write is discarded."""


class TrialAttached(Exception):
    """The slot has a trial already: an earlier try created it, and only the reply was lost."""

    def __init__(self, held: "Claim", trial_id: int) -> None:
        super().__init__(f"slot {held.slot}: has a trial already")
        self.trial_id = trial_id


@dataclass(frozen=True)
class Claim:
    """A slot as it was when its owner claimed it."""

    study: str
    slot: int
    fence: int
    owner: str
    gpus: float
    parameters: str  # JSON
    trial_id: int | None
    attempts: int
    crashes: int

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """The claim that a row of the slots holds."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


def claim(
    connection: Connection, study: str, owner: str, lease_seconds: float, gpus: float = 0, *, seize: bool = False
) -> Claim | None:
    """Claims a slot that waits or whose lease has run out, and returns the claim; None when there is no such slot.

    With `seize` also a slot that another owner holds, who will find the lease lost.

    First of all comes a slot that is this owner's already: the reply to its last claim was lost, or it dropped the
    trial in an outage. Then come slots whose trial has begun, so that what is begun is finished before more is begun.
    An owner who let the lease run out costs the trial a crash.
    """
    now = database_now(connection)
    own = sa.and_(slots.c.state == SlotState.RUNNING, slots.c.owner == owner)
    candidate = (
        sa.select(slots.c.slot)
        .where(slots.c.study == study, sa.or_(own, _is_unsettled() if seize else _is_free(now)))
        .order_by(sa.case((own, 0), (slots.c.trial_id.is_not(None), 1), else_=2), slots.c.slot)
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
            lease_end=now + lease_seconds,
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


def claimable(connection: Connection, study: str) -> int:
    """How many slots `claim` would find now."""
    free = _is_free(database_now(connection))
    return connection.scalar(sa.select(sa.func.count()).select_from(slots).where(slots.c.study == study, free)) or 0


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
        .where(_is_held(held))
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
    unattached = sa.update(slots).where(_is_held(held), slots.c.trial_id.is_(None)).values(trial_id=trial_id)
    if connection.execute(unattached).rowcount == 0:
        former = connection.scalar(sa.select(slots.c.trial_id).where(_is_held(held)))
        raise _lost(held) if former is None else TrialAttached(held, former)


def forget_crashes(connection: Connection, held: Claim) -> None:
    """Sets the crashes to 0: a trial that has reported an epoch does not kill its processes."""
    _require(_update(connection, held, crashes=0), held)


def settle(connection: Connection, held: Claim, outcome: Outcome) -> None:
    assert outcome.state.settled
    _require(_update(connection, held, **vars(outcome), owner=None, lease_end=None), held)
    record_change(connection, held, SlotState.RUNNING, outcome.state)


def give_back(connection: Connection, held: Claim, failure: Outcome | None = None) -> None:
    """Frees the slot for the next owner, if it is still this one's. A failure costs the trial an attempt."""
    values: dict[str, Any] = {"state": SlotState.WAITING, "owner": None, "lease_end": None}
    if failure is not None:
        values |= {"attempts": held.attempts + 1, "message": failure.message, "traceback": failure.traceback}
    if _update(connection, held, **values):
        record_change(connection, held, SlotState.RUNNING, SlotState.WAITING)


def check_fence(connection: Connection, held: Claim) -> None:
    """Locks the slot's row for this transaction.

    Raises:
        LeaseLost: it is not this owner's any more.

    """
    _require(connection.scalar(sa.select(slots.c.slot).where(_is_held(held)).with_for_update()) is not None, held)


def read_own(connection: Connection, held: Claim) -> tuple[SlotState, int | None]:
    """The state and the trial id of a slot that this owner has, or had until it settled it itself.

    Raises:
        LeaseLost: somebody else has claimed it since.

    """
    query = sa.select(slots.c.state, slots.c.trial_id, slots.c.fence)
    row = connection.execute(query.where(slots.c.study == held.study, slots.c.slot == held.slot)).one_or_none()
    if row is None or row.fence != held.fence or row.state == SlotState.WAITING:
        raise _lost(held)
    return SlotState(row.state), row.trial_id


def cancel_unbegun(connection: Connection, study: str, owner: str, message: str) -> int:
    """Settles every slot that has no trial yet as cancelled, all at once, and returns how many."""
    unbegun = sa.and_(slots.c.study == study, slots.c.state == SlotState.WAITING, slots.c.trial_id.is_(None))
    cancelled = {"state": SlotState.CANCELLED, "fence": slots.c.fence + 1, "message": message}
    rows = connection.execute(sa.update(slots).where(unbegun).values(cancelled).returning(slots)).mappings().all()
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


def _is_unsettled() -> sa.ColumnElement[bool]:
    return slots.c.state.in_((SlotState.WAITING, SlotState.RUNNING))


def _is_free(now: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    expired = sa.or_(slots.c.lease_end < now, slots.c.lease_end.is_(None))
    return sa.or_(slots.c.state == SlotState.WAITING, sa.and_(slots.c.state == SlotState.RUNNING, expired))


def _is_held(held: Claim) -> sa.ColumnElement[bool]:
    return sa.and_(
        slots.c.study == held.study,
        slots.c.slot == held.slot,
        slots.c.fence == held.fence,
        slots.c.state == SlotState.RUNNING,
    )


def _update(connection: Connection, held: Claim, **values: Any) -> bool:
    return connection.execute(sa.update(slots).where(_is_held(held)).values(**values)).rowcount == 1


def _require(still_held: bool, held: Claim) -> None:
    if not still_held:
        raise _lost(held)


def _lost(held: Claim) -> LeaseLost:
    return LeaseLost(f"slot {held.slot}: fence {held.fence} is no longer the newest")
