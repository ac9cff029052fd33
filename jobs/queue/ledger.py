"""The ledger: every change of every slot, and the time for which workers held them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import Connection

from jobs.experiment.confirmation import confirmation_name
from jobs.queue.tables import SlotState, database_now, ledger, slots
from jobs.runtime.identity import workplace


@dataclass(frozen=True)
class Change:
    """A change of a slot; `at` and `lease_end` in seconds since 1970 by the database's clock."""

    slot: int
    fence: int
    owner: str | None
    gpus: float
    before: SlotState
    after: SlotState
    at: float
    lease_end: float | None


@dataclass(frozen=True)
class Usage:
    """The cost of a sweep with its confirmations; `seconds` says for each slot how long workers held it."""

    hours: float  # during which any trial or confirmation ran
    gpu_hours: float
    seconds: dict[int, float]  # of the trials
    confirmation_seconds: dict[int, float] = field(default_factory=dict)
    confirmation_gpu_hours: float = 0.0  # part of `gpu_hours`


@dataclass(frozen=True)
class Span:
    """For which a worker held a slot; in seconds, from 1970 on."""

    start: float
    end: float
    gpus: float


Spans = dict[int, list[Span]]  # by slot


def read_ledger(connection: Connection, study: str, only: Collection[int] | None = None) -> list[Change]:
    """All changes, or those of some slots, in the order in which they were made."""
    query = sa.select(ledger).where(ledger.c.study == study).order_by(ledger.c.id)
    rows = connection.execute(query if only is None else query.where(ledger.c.slot.in_(only)))
    return [
        Change(slot, fence, owner, gpus, SlotState(before), SlotState(after), at, end)
        for _id, _study, slot, fence, owner, gpus, before, after, at, end in rows
    ]


def read_usage(connection: Connection, study: str) -> Usage:
    """The cost so far. What runs counts until now, or until its lease ran out."""
    return usage_of(read_spans(connection, study), read_spans(connection, confirmation_name(study)))


def read_spans(connection: Connection, study: str, only: Collection[int] | None = None) -> Spans:
    """For how long workers have held the slots; of a settled one that does not change any more."""
    now = connection.scalar(sa.select(database_now(connection))) or 0.0
    leases = sa.select(slots.c.slot, slots.c.lease_end).where(slots.c.study == study)
    if only is not None:
        leases = leases.where(slots.c.slot.in_(only))
    ends = {slot: min(end or now, now) for slot, end in connection.execute(leases)}
    return _spans(read_ledger(connection, study, only), ends)


def others_work(connection: Connection, study: str, place: str, lease_seconds: float) -> bool:
    """Whether anybody at another workplace holds a slot, or has changed one not longer ago than a lease lasts."""
    now = database_now(connection)
    holders = sa.select(slots.c.owner).where(
        slots.c.study == study, slots.c.state == SlotState.RUNNING, slots.c.lease_end >= now
    )
    recent = sa.select(ledger.c.owner).where(ledger.c.study == study, ledger.c.at > now - lease_seconds)
    owners = connection.scalars(sa.union(holders, recent))
    return any(owner is not None and workplace(owner) != place for owner in owners)


def usage(changes: Sequence[Change], ends: dict[int, float]) -> Usage:
    """The cost of a ledger. A slot that is still held at its end counts until its time in `ends`."""
    return usage_of(_spans(changes, ends), {})


def usage_of(trials: Spans, confirmations: Spans) -> Usage:
    spans = [span for part in (trials, confirmations) for own in part.values() for span in own]
    of_confirmations = _gpu_hours(confirmations)
    gpu_hours = _gpu_hours(trials) + of_confirmations
    return Usage(_covered(spans) / 3600, gpu_hours, seconds_of(trials), seconds_of(confirmations), of_confirmations)


def _spans(changes: Sequence[Change], ends: dict[int, float]) -> Spans:
    by_slot: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        by_slot[change.slot].append(change)
    spans: Spans = {}
    for slot, own in by_slot.items():
        spans[slot] = []
        for change, following in zip(own, [*own[1:], None], strict=True):
            if change.after is not SlotState.RUNNING:
                continue
            if following is None:
                end = ends[slot]
            elif following.lease_end is None:
                end = following.at
            else:  # the owner may have died before its lease ended
                end = min(following.at, following.lease_end)
            spans[slot].append(Span(change.at, max(end, change.at), change.gpus))
    return spans


def seconds_of(spans: Spans) -> dict[int, float]:
    return {slot: sum((span.end - span.start for span in own), 0.0) for slot, own in spans.items()}


def _gpu_hours(spans: Spans) -> float:
    return sum((span.end - span.start) * span.gpus for own in spans.values() for span in own) / 3600


def _covered(spans: Sequence[Span]) -> float:
    """Seconds that lie in at least one span."""
    total, until = 0.0, float("-inf")
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        total += max(span.end - max(span.start, until), 0.0)
        until = max(until, span.end)
    return total
