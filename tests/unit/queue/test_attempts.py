"""Whose fault a failed attempt is: which workers claim the slot again, and when its trial has failed for good."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.connections import connect
from jobs.queue.outcomes import Outcome
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import create_sweep, read_slots
from jobs.queue.tables import SlotState, ledger
from tests.support.databases import commit

STUDY, LEASE = "s", 60.0
BROKEN, HEALTHY = "node-a-1-17-abc123", "node-b-2-17-def456"  # workplace, process, and what makes the name new
RESTARTED = "node-a-1-99-fed321"
FAILURE = Outcome(SlotState.FAILED, "RuntimeError: no", "Traceback")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path}/study.db")
    upgrade_tables(engine)
    commit(engine, create_sweep, STUDY, "", [{}, {}, {}])
    return engine


def claim(engine: Engine, owner: str) -> Claim | None:
    return commit(engine, claims.claim, STUDY, owner, LEASE)


def take(engine: Engine, owner: str) -> Claim:
    held = claim(engine, owner)
    assert held is not None
    return held


def fail(engine: Engine, owner: str, *, of_device: bool = False) -> int:
    """Has the owner claim a slot and fail there; returns which."""
    held = take(engine, owner)
    commit(engine, claims.give_back, held, FAILURE, of_device=of_device)
    return held.slot


def attempts(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [row.attempts for row in read_slots(connection, STUDY)]


def let_a_lease_pass(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(ledger).values(at=ledger.c.at - 2 * LEASE))


def test_worker_leaves_what_it_failed_to_the_others(engine: Engine) -> None:
    held = take(engine, HEALTHY)
    assert [fail(engine, BROKEN), fail(engine, BROKEN)] == [1, 2]
    assert claim(engine, BROKEN) is None
    assert claim(engine, RESTARTED) is None, "another process of the same worker"
    assert commit(engine, claims.claimable, STUDY) == 2
    assert commit(engine, claims.claimable_at, STUDY, "node-a-1", LEASE) == 0
    assert commit(engine, claims.claimable_at, STUDY, "node-b-2", LEASE) == 2
    commit(engine, claims.settle, held, Outcome(SlotState.COMPLETE))
    assert claim(engine, BROKEN) is None, "the other has worked a moment ago"
    assert [take(engine, HEALTHY).slot, take(engine, "node-c-3-1-aaa").slot] == [1, 2]


def test_worker_without_others_tries_again_what_it_failed_after_all_else(engine: Engine) -> None:
    assert [fail(engine, BROKEN) for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    assert commit(engine, claims.claimable_at, STUDY, "node-a-1", LEASE) == 3
    assert attempts(engine) == [2, 2, 2]


def test_worker_tries_again_what_it_failed_once_the_others_are_gone(engine: Engine) -> None:
    commit(engine, claims.settle, take(engine, HEALTHY), Outcome(SlotState.COMPLETE))
    assert [fail(engine, BROKEN), fail(engine, BROKEN)] == [1, 2]
    assert claim(engine, BROKEN) is None
    let_a_lease_pass(engine)
    assert take(engine, BROKEN).slot == 1


def last_attempt(engine: Engine, held: Claim) -> bool:
    return not commit(engine, claims.may_be_tried_again, held, 2, LEASE)


def test_trial_has_failed_for_good_only_when_two_workers_could_not_run_it(engine: Engine) -> None:
    take(engine, HEALTHY)
    held = take(engine, BROKEN)
    for _ in range(3):  # however often one worker fails
        assert not last_attempt(engine, replace(held, attempts=9))
    commit(engine, claims.give_back, held, FAILURE)
    assert take(engine, "node-d-4-1-bbb").slot == 2  # what has not failed comes first
    again = take(engine, "node-c-3-1-aaa")
    assert (again.slot, again.attempts) == (held.slot, 1)
    assert last_attempt(engine, again)


def test_trial_has_failed_for_good_after_its_attempts_when_there_is_one_worker(engine: Engine) -> None:
    assert not last_attempt(engine, take(engine, BROKEN))
    commit(engine, claims.give_back, take(engine, BROKEN), FAILURE)
    for other in (1, 2):
        assert fail(engine, BROKEN) == other
    again = take(engine, RESTARTED)
    assert (again.slot, again.attempts) == (0, 1)
    assert last_attempt(engine, again)


def test_failure_of_a_device_costs_the_trial_nothing_unless_it_follows_the_trial(engine: Engine) -> None:
    take(engine, HEALTHY)
    assert fail(engine, BROKEN, of_device=True) == 1
    assert attempts(engine)[1] == 0
    assert take(engine, RESTARTED).slot == 2, "the restarted worker takes another one first"
    assert fail(engine, "node-c-3-1-aaa", of_device=True) == 1
    assert attempts(engine)[1] == 1


def test_two_owners_of_one_fence_are_told_apart(engine: Engine) -> None:
    """After a failover to a standby that had not received the first claim, its fence is given once more."""
    forgotten = replace(take(engine, BROKEN), owner="node-z-9-9-fff")
    for change in (
        lambda connection: claims.settle(connection, forgotten, Outcome(SlotState.COMPLETE)),
        lambda connection: claims.check_fence(connection, forgotten),
        lambda connection: claims.attach_trial(connection, forgotten, 7),
        lambda connection: claims.decide_stop(connection, forgotten, 1, stops=True),
        lambda connection: claims.read_own(connection, forgotten),
    ):
        with pytest.raises(LeaseLost):
            commit(engine, change)
    assert not commit(engine, claims.renew, forgotten, LEASE)
    commit(engine, claims.give_back, forgotten, FAILURE)
    with engine.connect() as connection:
        row = read_slots(connection, STUDY)[0]
    assert (row.state, row.owner, row.trial_id, row.attempts) == (SlotState.RUNNING, BROKEN, None, 0)


def test_owner_does_not_take_another_ones_settlement_for_its_own(engine: Engine) -> None:
    held = take(engine, BROKEN)
    commit(engine, claims.settle, held, Outcome(SlotState.COMPLETE))
    assert commit(engine, claims.read_own, held)[0] is SlotState.COMPLETE
    with pytest.raises(LeaseLost):
        commit(engine, claims.read_own, replace(held, owner="node-z-9-9-fff"))
