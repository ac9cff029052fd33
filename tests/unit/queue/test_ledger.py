"""What a sweep has cost: hours during which any trial ran, and hours of GPUs that were held."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.queue import claims
from jobs.queue.connections import connect
from jobs.queue.ledger import Change, read_usage, usage
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import create_sweep
from jobs.queue.tables import SlotState, ledger
from tests.support.databases import commit

HOUR = 3600.0
WAITING, RUNNING, COMPLETE = SlotState.WAITING, SlotState.RUNNING, SlotState.COMPLETE


def claimed(slot: int, hour: float, gpus: float = 1, fence: int = 1) -> Change:
    return Change(slot, fence, "a", gpus, WAITING, RUNNING, hour * HOUR, None)


def settled(slot: int, hour: float, state: SlotState = COMPLETE, gpus: float = 1) -> Change:
    return Change(slot, 1, "a", gpus, RUNNING, state, hour * HOUR, None)


def given_back(slot: int, hour: float, lease_end: float | None = None) -> Change:
    end = None if lease_end is None else lease_end * HOUR
    return Change(slot, 1, "a", 1, RUNNING, WAITING, hour * HOUR, end)


def taken_over(slot: int, hour: float, lease_end: float, gpus: float = 1) -> Change:
    return Change(slot, 2, "b", gpus, RUNNING, RUNNING, hour * HOUR, lease_end * HOUR)


@pytest.mark.parametrize(
    ("changes", "hours", "gpu_hours"),
    [
        pytest.param([], 0, 0, id="nothing yet"),
        pytest.param([claimed(0, 1), settled(0, 3)], 2, 2, id="one trial"),
        pytest.param([claimed(0, 1, 4), settled(0, 3)], 2, 8, id="four GPUs"),
        pytest.param([claimed(0, 1, 0), settled(0, 3, gpus=0)], 2, 0, id="no GPU"),
        pytest.param([claimed(0, 0), settled(0, 1), claimed(1, 5), settled(1, 6)], 2, 2, id="a gap between"),
        pytest.param([claimed(0, 0), claimed(1, 1), settled(0, 2), settled(1, 4)], 4, 5, id="overlapping"),
        pytest.param([claimed(0, 0), claimed(1, 1), settled(1, 2), settled(0, 4)], 4, 5, id="one within another"),
        pytest.param([claimed(0, 0), settled(0, 1), claimed(1, 1), settled(1, 2)], 2, 2, id="one after another"),
        pytest.param(
            [claimed(0, 0), given_back(0, 1), claimed(0, 4, fence=2), settled(0, 5)], 2, 2, id="given back for a while"
        ),
        pytest.param(
            [claimed(0, 0), taken_over(0, 5, lease_end=2), settled(0, 6)], 3, 3, id="vanished owner until lease end"
        ),
        pytest.param(
            [claimed(0, 0), taken_over(0, 1, lease_end=2), settled(0, 3)], 3, 3, id="seized from a living owner"
        ),
        pytest.param(
            [claimed(0, 0), taken_over(0, 1, lease_end=2, gpus=4), settled(0, 2)], 2, 5, id="by one with more GPUs"
        ),
        pytest.param(
            [claimed(0, 0), given_back(0, 100, lease_end=2)], 2, 2, id="carried elsewhere long after its owner vanished"
        ),
        pytest.param([claimed(0, 0), given_back(0, 1, lease_end=2)], 1, 1, id="carried elsewhere while it ran"),
        pytest.param(
            [Change(0, 1, "p", 0, WAITING, SlotState.CANCELLED, 9 * HOUR, None)], 0, 0, id="cancelled before it began"
        ),
        pytest.param([claimed(0, 2), settled(0, 1)], 0, 0, id="a clock that was set back"),
    ],
)
def test_usage_counts_what_was_held_once(changes: list[Change], hours: float, gpu_hours: float) -> None:
    cost = usage(changes, {})
    assert (cost.hours, cost.gpu_hours) == (hours, gpu_hours)


def test_usage_of_what_still_runs_counts_until_the_time_given() -> None:
    changes = [claimed(0, 0), claimed(1, 1), settled(0, 2)]
    cost = usage(changes, {0: 0.0, 1: 5 * HOUR})
    assert (cost.hours, cost.gpu_hours) == (5, 6)
    assert cost.seconds == {0: 2 * HOUR, 1: 4 * HOUR}


def test_usage_of_a_slot_adds_up_over_its_owners() -> None:
    changes = [claimed(3, 0), given_back(3, 1), claimed(3, 2, fence=2), settled(3, 4)]
    assert usage(changes, {}).seconds == {3: 3 * HOUR}


def test_running_trial_is_read_as_held_until_now_or_until_its_lease_ended(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/study.db")
    upgrade_tables(engine)
    for study in ("r", "s", "t"):
        commit(engine, create_sweep, study, "", [{}, {}])
    for study in ("r", "t"):  # whose leases end at once
        assert commit(engine, claims.claim, study, "other", 0, gpus=2)
    assert commit(engine, claims.claim, "s", "living", 10_000, gpus=2)
    vanished = commit(engine, claims.claim, "s", "vanished", 10_000, gpus=2)
    assert vanished is not None
    with engine.begin() as connection:  # both two hours ago; the lease of one ended an hour later
        connection.execute(sa.update(ledger).values(at=ledger.c.at - 2 * HOUR))
        held = claims.slots.c.slot == vanished.slot
        ended = claims.slots.c.lease_end - 10_000 - HOUR
        connection.execute(sa.update(claims.slots).where(held).values(lease_end=ended))
    with engine.connect() as connection:
        cost = read_usage(connection, "s")
    assert cost.seconds == pytest.approx({0: 2 * HOUR, 1: HOUR}, abs=60)
    assert cost.hours == pytest.approx(2, abs=0.1)
    assert cost.gpu_hours == pytest.approx(2 * (2 + 1), abs=0.1)
