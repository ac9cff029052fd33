"""A claim on a slot, and the conditions on which claims depend, as expressions for the database."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import sqlalchemy as sa

from jobs.queue.tables import UNKNOWN, SlotState, slots
from jobs.runtime.identity import workplace


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
    failed_at: str | None = None
    failed_elsewhere: bool | None = None

    @property
    def name(self) -> str:
        """No other claim of the slot has it, even one of the same fence after a failover."""
        return f"{self.fence}-{self.owner}"

    @property
    def failed_at_another(self) -> bool:
        """Whether an earlier attempt failed at another workplace than this owner's."""
        return bool(self.failed_elsewhere) or self.failed_at not in (None, workplace(self.owner))

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """The claim that a row of the slots holds."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


def is_unsettled() -> sa.ColumnElement[bool]:
    return slots.c.state.in_((SlotState.WAITING, SlotState.RUNNING))


def is_free(now: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    expired = sa.or_(slots.c.lease_end < now, slots.c.lease_end.is_(None))
    waits = sa.and_(slots.c.state == SlotState.WAITING, slots.c.parameters != UNKNOWN)
    return sa.or_(waits, sa.and_(slots.c.state == SlotState.RUNNING, expired))


def is_unknown() -> sa.ColumnElement[bool]:
    """Whether the slot is a confirmation that waits for its configuration."""
    return sa.and_(slots.c.state == SlotState.WAITING, slots.c.parameters == UNKNOWN)


def is_not_failed_at(place: str) -> sa.ColumnElement[bool]:
    return sa.or_(slots.c.failed_at.is_(None), slots.c.failed_at != place)


def is_claimed_by(held: Claim) -> sa.ColumnElement[bool]:
    """Whether the newest claim of its slot is this one."""
    return sa.and_(
        slots.c.study == held.study,
        slots.c.slot == held.slot,
        slots.c.fence == held.fence,
        slots.c.owner == held.owner,
    )


def is_held_by(held: Claim) -> sa.ColumnElement[bool]:
    return sa.and_(is_claimed_by(held), slots.c.state == SlotState.RUNNING)
