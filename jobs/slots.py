"""Slots: who runs which trial. N rows are N trials, each settled once, whoever dies meanwhile.

A worker owns a row for the length of a lease and renews it. Each claim raises the row's fence; every write names
the fence it was claimed with, so what a former owner still writes changes nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

metadata = sa.MetaData()

slots = sa.Table(
    "slots",
    metadata,
    sa.Column("study", sa.String(128), primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("parameters", sa.Text, nullable=False),  # JSON; what a grid or a list fixes, {} where all is sampled
    sa.Column("trial_id", sa.Integer),  # Optuna's, from the first claim on
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(128)),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("lease_end", sa.Float),  # seconds since 1970 by the database's clock
    sa.Column("attempts", sa.Integer, nullable=False),  # exceptions so far
    sa.Column("crashes", sa.Integer, nullable=False),  # owners that vanished so far
    sa.Column("stop_epoch", sa.Integer),  # early stopping has decided to end the trial after this epoch
    sa.Column("message", sa.Text),  # why it settled as it did
)

ledger = sa.Table(
    "slot_ledger",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study", sa.String(128), nullable=False),
    sa.Column("slot", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(128)),
    sa.Column("from_state", sa.String(16), nullable=False),
    sa.Column("to_state", sa.String(16), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)


class SlotState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED_EARLY = "stopped early"
    INFEASIBLE = "infeasible"
    DIVERGED = "diverged"
    FAILED = "failed"
    CRASHED = "crashed"

    @property
    def settled(self) -> bool:
        return self not in (SlotState.WAITING, SlotState.RUNNING)


class LeaseLost(Exception):
    """The slot belongs to another owner by now; what this one was about to write is discarded."""


@dataclass(frozen=True)
class Claim:
    """A slot as its owner got it."""

    study: str
    slot: int
    fence: int
    owner: str
    parameters: dict[str, Any]
    trial_id: int | None
    attempts: int
    crashes: int
    stop_epoch: int | None


@dataclass(frozen=True)
class SlotRow:
    slot: int
    state: SlotState
    trial_id: int | None
    owner: str | None
    lease_left: float | None
    message: str | None


def database_now(engine: Engine | Connection) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the database's clock, as an expression."""
    if engine.dialect.name == "sqlite":
        return (sa.func.julianday("now") - 2440587.5) * 86400.0
    return sa.func.date_part("epoch", sa.func.clock_timestamp())


def create_slots(engine: Engine, study: str, parameters: Sequence[dict[str, Any]]) -> None:
    """The tables, and one row for each set of fixed parameters, all or none; rows that exist stay as they are."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        existing = connection.scalar(sa.select(sa.func.count()).where(slots.c.study == study).select_from(slots))
        rows = [
            {
                "study": study,
                "slot": slot,
                "parameters": json.dumps(fixed),
                "state": SlotState.WAITING,
                "fence": 0,
                "attempts": 0,
                "crashes": 0,
            }
            for slot, fixed in enumerate(parameters)
        ][existing:]
        if rows:
            connection.execute(sa.insert(slots), rows)


def read_slots(engine: Engine, study: str) -> list[SlotRow]:
    now = database_now(engine)
    query = sa.select(
        slots.c.slot, slots.c.state, slots.c.trial_id, slots.c.owner, slots.c.lease_end - now, slots.c.message
    )
    with engine.connect() as connection:
        rows = connection.execute(query.where(slots.c.study == study).order_by(slots.c.slot)).all()
    return [SlotRow(slot, SlotState(state), *rest) for slot, state, *rest in rows]


def claim(engine: Engine, study: str, owner: str, lease_seconds: float) -> Claim | None:
    """A row that waits, or whose lease ran out, now this owner's; None when there is neither.

    Rows with a trial begun come first: what is begun is finished before more is begun.
    """
    with engine.begin() as connection:
        now = database_now(connection)
        row = (
            connection.execute(
                sa.select(slots)
                .where(_is_claimable(study, now))
                .order_by(slots.c.trial_id.is_(None), slots.c.slot)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            .mappings()
            .first()
        )
        if row is None:
            return None
        taken = Claim(
            study=study,
            slot=row["slot"],
            fence=row["fence"] + 1,
            owner=owner,
            parameters=json.loads(row["parameters"]),
            trial_id=row["trial_id"],
            attempts=row["attempts"],
            crashes=row["crashes"] + (row["state"] == SlotState.RUNNING),
            stop_epoch=row["stop_epoch"],
        )
        connection.execute(
            sa.update(slots)
            .where(slots.c.study == study, slots.c.slot == taken.slot)
            .values(
                state=SlotState.RUNNING,
                owner=owner,
                fence=taken.fence,
                lease_end=now + lease_seconds,
                crashes=taken.crashes,
            )
        )
        _record(connection, taken, SlotState(row["state"]), SlotState.RUNNING)
        return taken


def claimable(engine: Engine, study: str) -> int:
    """How many rows `claim` would find now."""
    with engine.connect() as connection:
        query = sa.select(sa.func.count()).select_from(slots).where(_is_claimable(study, database_now(connection)))
        return connection.scalar(query) or 0


def renew(engine: Engine, held: Claim, lease_seconds: float) -> bool:
    """Whether the lease was still this owner's, and so now runs anew."""
    with engine.begin() as connection:
        return _update(connection, held, lease_end=database_now(connection) + lease_seconds)


def decide_stop(connection: Connection, held: Claim, epoch: int) -> None:
    """Notes that early stopping ends the trial after `epoch`, for whoever settles it."""
    _require(_update(connection, held, stop_epoch=epoch), held)


def attach_trial(connection: Connection, held: Claim, trial_id: int) -> None:
    _require(_update(connection, held, trial_id=trial_id), held)


def settle(connection: Connection, held: Claim, state: SlotState, message: str | None) -> None:
    assert state.settled
    _require(_update(connection, held, state=state, owner=None, lease_end=None, message=message), held)
    _record(connection, held, SlotState.RUNNING, state)


def give_back(engine: Engine, held: Claim, *, failed: bool = False, message: str | None = None) -> None:
    """Frees the slot for the next owner; after an exception that costs an attempt."""
    attempts = held.attempts + failed
    with engine.begin() as connection:
        if _update(
            connection,
            held,
            state=SlotState.WAITING,
            owner=None,
            lease_end=None,
            attempts=attempts,
            message=message,
        ):
            _record(connection, held, SlotState.RUNNING, SlotState.WAITING)


def check_fence(connection: Connection, held: Claim) -> None:
    """Locks the row for this transaction.

    Raises:
        LeaseLost: somebody else has claimed it since.

    """
    query = sa.select(slots.c.fence).where(slots.c.study == held.study, slots.c.slot == held.slot)
    _require(connection.scalar(query.with_for_update()) == held.fence, held)


def _is_claimable(study: str, now: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    expired = sa.and_(slots.c.state == SlotState.RUNNING, slots.c.lease_end < now)
    return sa.and_(slots.c.study == study, sa.or_(slots.c.state == SlotState.WAITING, expired))


def _update(connection: Connection, held: Claim, **values: Any) -> bool:
    result = connection.execute(
        sa.update(slots)
        .where(
            slots.c.study == held.study,
            slots.c.slot == held.slot,
            slots.c.fence == held.fence,
            slots.c.state == SlotState.RUNNING,
        )
        .values(**values)
    )
    return result.rowcount == 1


def _require(still_held: bool, held: Claim) -> None:
    if not still_held:
        raise LeaseLost(f"slot {held.slot}: fence {held.fence} is no longer the newest")


def _record(connection: Connection, held: Claim, before: SlotState, after: SlotState) -> None:
    connection.execute(
        sa.insert(ledger).values(
            study=held.study,
            slot=held.slot,
            fence=held.fence,
            owner=held.owner,
            from_state=before,
            to_state=after,
            at=database_now(connection),
        )
    )
