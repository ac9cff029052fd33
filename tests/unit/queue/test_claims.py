import json
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost, TrialAttached
from jobs.queue.connections import connect
from jobs.queue.ledger import read_ledger
from jobs.queue.outcomes import Outcome
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import SlotRow, create_sweep, read_slots
from jobs.queue.tables import SlotState
from tests.support.databases import commit

STUDY = "s"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def engine(url: str) -> Engine:
    engine = connect(url)
    create(engine, STUDY, [{"lr": 0.1}, {}, {}])
    return engine


def create(engine: Engine, study: str, parameters: list[dict[str, float]]) -> int:
    upgrade_tables(engine)
    return commit(engine, create_sweep, study, "", parameters)


def read(engine: Engine) -> list[SlotRow]:
    with engine.connect() as connection:
        return read_slots(connection, STUDY)


def take(engine: Engine, owner: str = "a", lease: float = 60) -> Claim:
    held = commit(engine, claims.claim, STUDY, owner, lease)
    assert held is not None
    return held


def settle(engine: Engine, held: Claim, state: SlotState = SlotState.COMPLETE) -> None:
    commit(engine, claims.settle, held, Outcome(state))


def states(engine: Engine) -> list[SlotState]:
    return [row.state for row in read(engine)]


def test_slots_are_created_once(engine: Engine) -> None:
    assert create(engine, STUDY, [{}, {}, {}]) == 0
    assert create(engine, "other", [{}]) == 1
    assert states(engine) == [SlotState.WAITING] * 3


def test_more_trials_add_slots_and_change_no_other(engine: Engine) -> None:
    settle(engine, take(engine))
    assert create(engine, STUDY, [{}] * 5) == 2
    assert states(engine) == [SlotState.COMPLETE, *[SlotState.WAITING] * 4]


def test_each_claim_gets_another_slot_until_none_is_left(engine: Engine) -> None:
    first, second, third = (take(engine, owner) for owner in "abc")
    assert [held.slot for held in (first, second, third)] == [0, 1, 2]
    assert json.loads(first.parameters) == {"lr": 0.1}
    assert commit(engine, claims.claim, STUDY, "d", 60) is None
    assert commit(engine, claims.claimable, STUDY) == 0


def test_every_slot_goes_to_one_worker_when_many_claim_at_once(url: str) -> None:
    create(connect(url), STUDY, [{}] * 40)
    claimed: list[int] = []

    def work(owner: str) -> None:
        mine = connect(url)
        while (held := commit(mine, claims.claim, STUDY, owner, 60)) is not None:
            claimed.append(held.slot)
            settle(mine, held)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(40))


def test_expired_lease_is_taken_over_with_a_higher_fence_and_counts_a_crash(engine: Engine) -> None:
    lost = take(engine, "a", lease=-1)
    taken = take(engine, "b")
    assert (taken.slot, taken.fence, taken.crashes, taken.attempts) == (lost.slot, lost.fence + 1, 1, 0)


def test_former_owner_can_change_nothing(engine: Engine) -> None:
    lost = take(engine, "a", lease=-1)
    taken = take(engine, "b")
    assert not commit(engine, claims.renew, lost, 60)
    commit(engine, claims.give_back, lost)
    with pytest.raises(LeaseLost, match=r"slot 0: the claim with fence 1 is no longer the newest"):
        commit(engine, claims.check_fence, lost)
    with pytest.raises(LeaseLost):
        settle(engine, lost)
    with pytest.raises(LeaseLost):
        commit(engine, claims.attach_trial, lost, 9)
    with pytest.raises(LeaseLost):
        commit(engine, claims.decide_stop, lost, 3, stops=True)
    with pytest.raises(LeaseLost):
        commit(engine, claims.read_own, lost)
    row = read(engine)[0]
    assert (row.state, row.owner, row.trial_id) == (SlotState.RUNNING, "b", None)
    settle(engine, taken)
    assert states(engine)[0] is SlotState.COMPLETE


def test_renewed_lease_is_not_taken_over(engine: Engine) -> None:
    held = take(engine, "a", lease=0.3)
    assert commit(engine, claims.renew, held, 60)
    time.sleep(0.4)
    assert take(engine, "b").slot != held.slot
    left = read(engine)[0].lease_left
    assert left is not None
    assert 58 < left <= 60


def test_slot_given_back_comes_first_and_costs_nothing(engine: Engine) -> None:
    held = take(engine)
    commit(engine, claims.attach_trial, held, 5)
    commit(engine, claims.give_back, held)
    again = take(engine, "b")
    assert (again.slot, again.trial_id, again.attempts, again.crashes) == (held.slot, 5, 0, 0)


def test_slot_given_back_after_an_exception_costs_an_attempt(engine: Engine) -> None:
    commit(engine, claims.give_back, take(engine), Outcome(SlotState.FAILED, "ValueError: no", "Traceback"))
    row = read(engine)[0]
    assert (row.state, row.owner, row.lease_left) == (SlotState.WAITING, None, None)
    assert (row.message, row.traceback) == ("ValueError: no", "Traceback")
    assert (row.attempts, row.crashes) == (1, 0)
    assert take(engine, "b").slot == 1  # what has failed comes last


@pytest.mark.parametrize("stops", [True, False])
def test_first_stop_decision_on_an_epoch_holds_for_every_owner(engine: Engine, stops: bool) -> None:
    held = take(engine, lease=-1)
    for asked_again in (stops, not stops):
        assert commit(engine, claims.decide_stop, held, 4, stops=asked_again) is stops
    taken = take(engine, "b")
    assert commit(engine, claims.decide_stop, taken, 4, stops=not stops) is stops
    assert commit(engine, claims.decide_stop, taken, 5, stops=not stops) is not stops


def test_settled_slot_stays_settled(engine: Engine) -> None:
    held = take(engine)
    settle(engine, held)
    with pytest.raises(LeaseLost):
        settle(engine, held, SlotState.FAILED)
    assert states(engine)[0] is SlotState.COMPLETE
    assert take(engine).slot == 1


def test_settled_slot_tells_how_it_ended_and_by_whom(engine: Engine) -> None:
    outcome = Outcome(SlotState.FAILED, "ValueError: no", "Traceback")
    held = take(engine)
    commit(engine, claims.settle, held, outcome)
    row = read(engine)[0]
    assert (row.state, row.message, row.traceback) == (outcome.state, outcome.message, outcome.traceback)
    assert (row.owner, row.lease_left) == (held.owner, None)


def test_owner_gets_the_slot_again_that_it_has_and_at_no_cost(engine: Engine) -> None:
    held = take(engine, "a")
    again = take(engine, "a")
    assert (again.slot, again.fence, again.crashes) == (held.slot, held.fence + 1, 0)
    expired = take(engine, "a", lease=-1)
    assert take(engine, "a").crashes == 0
    assert expired.slot == held.slot


def test_own_slot_comes_first_then_begun_trials_then_the_lowest_slot(engine: Engine) -> None:
    create(engine, STUDY, [{}] * 5)
    held = [take(engine, owner) for owner in "abcd"]
    for begun in (held[2], held[3]):
        commit(engine, claims.attach_trial, begun, 5 + begun.slot)
    for free in (held[0], held[2]):
        commit(engine, claims.give_back, free)
    # Slot 2 has begun and waits, slot 0 waits, b holds slot 1 and d slot 3, which has begun.
    assert [take(engine, owner).slot for owner in "bdexy"] == [1, 3, 2, 0, 4]


def test_studies_of_one_database_leave_each_other_alone(engine: Engine) -> None:
    create(engine, "other", [{}] * 4)
    held = take(engine, "a")
    theirs = commit(engine, claims.claim, "other", "b", 60)
    assert theirs is not None
    assert (theirs.slot, theirs.fence) == (held.slot, held.fence)
    commit(engine, claims.attach_trial, held, 5)
    commit(engine, claims.cancel_unbegun, STUDY, "p", "enough")
    settle(engine, held)
    assert (commit(engine, claims.claimable, STUDY), commit(engine, claims.claimable, "other")) == (0, 3)
    assert commit(engine, claims.claim, STUDY, "b", 60) is None
    with engine.connect() as connection:
        slot, changes = read_slots(connection, "other")[theirs.slot], read_ledger(connection, "other")
    assert [(change.slot, change.owner) for change in changes] == [(theirs.slot, "b")]
    assert (slot.state, slot.owner, slot.trial_id) == (SlotState.RUNNING, "b", None)
    assert commit(engine, claims.renew, theirs, 60)


def test_slot_of_a_living_owner_is_taken_only_by_force(engine: Engine) -> None:
    held = [take(engine, owner) for owner in "abc"]
    assert commit(engine, claims.claim, STUDY, "d", 60) is None
    seized = commit(engine, claims.claim, STUDY, "d", 60, seize=True)
    assert seized is not None
    assert seized.slot == held[0].slot
    assert not commit(engine, claims.renew, held[0], 60)


def test_reported_epoch_clears_the_crashes(engine: Engine) -> None:
    take(engine, "a", lease=-1)
    taken = take(engine, "b", lease=-1)
    commit(engine, claims.forget_crashes, taken)
    assert (taken.crashes, take(engine, "c").crashes) == (1, 1)


def test_slot_without_a_lease_end_is_free(engine: Engine) -> None:
    lost = take(engine, "a")
    with engine.begin() as connection:
        connection.execute(sa.update(claims.slots).where(claims.slots.c.slot == lost.slot).values(lease_end=None))
    assert take(engine, "b").slot == lost.slot


def test_cancelled_are_those_that_have_not_begun(engine: Engine) -> None:
    running = take(engine, "a")
    begun = take(engine, "b")
    commit(engine, claims.attach_trial, begun, 5)
    commit(engine, claims.give_back, begun)
    assert commit(engine, claims.cancel_unbegun, STUDY, "p", "enough") == 1
    assert states(engine) == [SlotState.RUNNING, SlotState.WAITING, SlotState.CANCELLED]
    cancelled = read(engine)[2]
    assert (cancelled.fence, cancelled.message) == (1, "enough")
    assert commit(engine, claims.cancel_unbegun, STUDY, "p", "enough") == 0
    settle(engine, running)
    settle(engine, take(engine))
    assert commit(engine, claims.claim, STUDY, "d", 60) is None


def test_own_slot_is_known_as_settled_after_a_lost_reply(engine: Engine) -> None:
    held = take(engine)
    assert commit(engine, claims.read_own, held) == (SlotState.RUNNING, None)
    settle(engine, held)
    assert commit(engine, claims.read_own, held) == (SlotState.COMPLETE, None)


def test_slot_keeps_the_trial_that_was_attached_first(engine: Engine) -> None:
    held = take(engine)
    commit(engine, claims.attach_trial, held, 5)
    with pytest.raises(TrialAttached, match="slot 0: has a trial already") as raised:
        commit(engine, claims.attach_trial, held, 6)
    assert raised.value.trial_id == 5
    assert read(engine)[0].trial_id == 5


def test_slot_that_was_given_back_is_not_its_owners_any_more(engine: Engine) -> None:
    held = take(engine)
    commit(engine, claims.give_back, held)
    with pytest.raises(LeaseLost):
        commit(engine, claims.read_own, held)


def test_ledger_holds_every_change_of_a_slot(engine: Engine) -> None:
    lost = take(engine, "a", lease=-1)
    taken = take(engine, "b")
    other = take(engine, "d")
    commit(engine, claims.give_back, taken)
    last = commit(engine, claims.claim, STUDY, "c", 60, gpus=2)
    assert last is not None
    settle(engine, last)
    with engine.connect() as connection:
        rows = read_ledger(connection, STUDY)
    assert [(row.slot, row.fence, row.owner, row.before, row.after) for row in rows] == [
        (lost.slot, 1, "a", "waiting", "running"),
        (lost.slot, 2, "b", "running", "running"),
        (other.slot, 1, "d", "waiting", "running"),
        (lost.slot, 2, "b", "running", "waiting"),
        (lost.slot, 3, "c", "waiting", "running"),
        (lost.slot, 3, "c", "running", "complete"),
    ]
    assert [row.gpus for row in rows] == [0, 0, 0, 0, 2, 2]
    assert abs(rows[0].at - time.time()) < 5
    assert rows[1].lease_end is not None
    assert rows[1].lease_end < rows[1].at
