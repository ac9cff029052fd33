"""The slots as a few lines of Python would keep them, run side by side with the table.

Time is what the test says it is: leases are long, and one runs out when the rule `run_out` says so.
"""

from dataclasses import dataclass

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule
from sqlalchemy import Engine

from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost, TrialAttached
from jobs.queue.ledger import read_ledger
from jobs.queue.outcomes import Outcome
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import create_sweep, read_slots
from jobs.queue.tables import SlotState, ledger, sweeps
from tests.support.checker import check_ledger, check_settled
from tests.support.databases import commit

STUDY, LEASE = "model", 3600.0
OWNERS = st.sampled_from("abc")
OUTCOMES = st.sampled_from([state for state in SlotState if state.settled and state is not SlotState.CANCELLED])


@dataclass
class Row:
    """What the model knows of a slot."""

    state: SlotState = SlotState.WAITING
    owner: str | None = None
    fence: int = 0
    trial_id: int | None = None
    attempts: int = 0
    crashes: int = 0
    ran_out: bool = False
    decision: tuple[int, bool] | None = None
    failed_at: str | None = None

    def is_held_by(self, owner: str) -> bool:
        return self.state is SlotState.RUNNING and self.owner == owner

    def is_free(self) -> bool:
        return self.state is SlotState.WAITING or (self.state is SlotState.RUNNING and self.ran_out)

    def release(self, state: SlotState) -> None:
        """Whoever has settled it stays its owner."""
        self.state, self.ran_out = state, False
        if state in (SlotState.WAITING, SlotState.CANCELLED):
            self.owner = None


class SlotMachine(RuleBasedStateMachine):
    """Owners that claim, renew, report, settle and give back, also long after they have lost the slot."""

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        upgrade_tables(engine)
        with engine.begin() as connection:
            for table in (claims.slots, ledger, sweeps):
                connection.execute(sa.delete(table))
        self.rows: list[Row] = []
        self.trials = 0
        self.have_worked: set[str] = set()  # all of it not longer ago than a lease lasts
        self.add_trials(2)

    @precondition(lambda self: len(self.rows) < 6)
    @rule(count=st.integers(0, 2))
    def add_trials(self, count: int) -> None:
        wanted = len(self.rows) + count
        assert commit(self.engine, create_sweep, STUDY, "", [{}] * wanted) == count
        self.rows += [Row() for _ in range(count)]

    @rule(target=claims, owner=OWNERS)
    def claim(self, owner: str) -> object:
        def rank(slot: int) -> tuple[bool, int, bool, int]:
            row = self.rows[slot]
            return (not row.is_held_by(owner), row.attempts, row.trial_id is None, slot)

        candidates = [slot for slot, row in enumerate(self.rows) if row.is_held_by(owner) or row.is_free()]
        untried = [s for s in candidates if self.rows[s].is_held_by(owner) or self.rows[s].failed_at != owner]
        if untried or self.others_have_worked(owner):
            candidates = untried
        held = commit(self.engine, claims.claim, STUDY, owner, LEASE)
        if not candidates:
            assert held is None
            return multiple()
        slot = min(candidates, key=rank)
        row = self.rows[slot]
        row.crashes += row.state is SlotState.RUNNING and row.owner != owner
        self.have_worked.add(owner)
        row.state, row.owner, row.ran_out = SlotState.RUNNING, owner, False
        row.fence += 1
        assert held is not None
        assert (held.slot, held.fence, held.trial_id) == (slot, row.fence, row.trial_id)
        assert (held.attempts, held.crashes) == (row.attempts, row.crashes)
        return held

    @rule(slot=st.integers(0, 5))
    def run_out(self, slot: int) -> None:
        if slot < len(self.rows) and self.rows[slot].state is SlotState.RUNNING:
            table = claims.slots
            with self.engine.begin() as connection:
                connection.execute(sa.update(table).where(table.c.slot == slot).values(lease_end=0.0))
            self.rows[slot].ran_out = True

    @rule(held=claims)
    def renew(self, held: Claim) -> None:
        """A lease that has run out is renewed as long as nobody has taken it over."""
        assert commit(self.engine, claims.renew, held, LEASE) is self.is_held(held)
        if self.is_held(held):
            self.rows[held.slot].ran_out = False

    @rule(held=claims)
    def attach_trial(self, held: Claim) -> None:
        row = self.rows[held.slot]
        self.trials += 1
        with self.engine.connect() as connection, connection.begin():
            if not self.is_held(held):
                with pytest.raises(LeaseLost):
                    claims.attach_trial(connection, held, self.trials)
            elif row.trial_id is not None:
                with pytest.raises(TrialAttached):
                    claims.attach_trial(connection, held, self.trials)
            else:
                claims.attach_trial(connection, held, self.trials)
                row.trial_id = self.trials

    @rule(held=claims)
    def report(self, held: Claim) -> None:
        with self.engine.connect() as connection, connection.begin():
            if self.is_held(held):
                claims.check_fence(connection, held)
                claims.forget_crashes(connection, held)
                self.rows[held.slot].crashes = 0
            else:
                with pytest.raises(LeaseLost):
                    claims.check_fence(connection, held)

    @rule(held=claims, epoch=st.integers(1, 2), stops=st.booleans())
    def decide(self, held: Claim, epoch: int, stops: bool) -> None:
        row = self.rows[held.slot]
        if not self.is_held(held):
            with pytest.raises(LeaseLost):
                commit(self.engine, claims.decide_stop, held, epoch, stops=stops)
            return
        if row.decision is None or row.decision[0] != epoch:
            row.decision = (epoch, stops)
        assert commit(self.engine, claims.decide_stop, held, epoch, stops=stops) is row.decision[1]

    @rule(held=claims, state=OUTCOMES)
    def settle(self, held: Claim, state: SlotState) -> None:
        with self.engine.connect() as connection, connection.begin():
            if self.is_held(held):
                claims.settle(connection, held, Outcome(state))
                self.rows[held.slot].release(state)
            else:
                with pytest.raises(LeaseLost):
                    claims.settle(connection, held, Outcome(state))

    @rule(held=consumes(claims), failed=st.booleans())
    def give_back(self, held: Claim, failed: bool) -> None:
        commit(self.engine, claims.give_back, held, Outcome(SlotState.FAILED) if failed else None)
        if self.is_held(held):
            row = self.rows[held.slot]
            row.release(SlotState.WAITING)
            row.attempts += failed
            row.failed_at = held.owner if failed else row.failed_at

    @rule()
    def cancel_unbegun(self) -> None:
        unbegun = [row for row in self.rows if row.state is SlotState.WAITING and row.trial_id is None]
        assert commit(self.engine, claims.cancel_unbegun, STUDY, "person", "enough") == len(unbegun)
        self.have_worked |= {"person"} if unbegun else set()
        for row in unbegun:
            row.release(SlotState.CANCELLED)
            row.fence += 1

    @invariant()
    def table_is_as_the_model(self) -> None:
        with self.engine.connect() as connection:
            found = read_slots(connection, STUDY)
            changes = read_ledger(connection, STUDY)
        assert [(row.state, row.owner, row.fence, row.trial_id, row.attempts, row.crashes) for row in found] == [
            (row.state, row.owner, row.fence, row.trial_id, row.attempts, row.crashes) for row in self.rows
        ]
        assert commit(self.engine, claims.claimable, STUDY) == sum(row.is_free() for row in self.rows)
        check_ledger(changes)
        check_settled([row for row in found if row.state.settled], changes)

    def is_held(self, held: Claim) -> bool:
        row = self.rows[held.slot]
        return row.is_held_by(held.owner) and row.fence == held.fence

    def others_have_worked(self, owner: str) -> bool:
        return bool(self.have_worked - {owner})
