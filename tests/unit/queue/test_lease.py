import time
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from jobs.queue import claims
from jobs.queue.claim import LeaseLost
from jobs.queue.connections import connect
from jobs.queue.lease import Lease
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import create_sweep
from jobs.runtime.settings import Settings
from tests.support.databases import commit

STUDY = "s"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path}/study.db")
    upgrade_tables(engine)
    commit(engine, create_sweep, STUDY, "", [{}])
    return engine


def settings(**values: float) -> Settings:
    place = {"database_url": "sqlite:///", "artifacts_url": "runs", "lease_seconds": 0.9, "renewal_seconds": 0.1}
    return Settings.model_validate({**place, **values})


def held_lease(engine: Engine, place: Settings, claimed_before: float = 0) -> Lease:
    """A lease whose claim was asked for so many seconds ago."""
    held = commit(engine, claims.claim, STUDY, "a", place.lease_seconds)
    assert held is not None
    return Lease(engine, held, place, time.monotonic() - claimed_before)


def test_lease_is_renewed_while_the_training_beats(engine: Engine) -> None:
    with held_lease(engine, settings()) as lease:
        for _ in range(20):
            time.sleep(0.1)
            lease.beat()
        assert commit(engine, claims.claim, STUDY, "b", 60) is None


def test_lease_of_a_hung_training_runs_out(engine: Engine) -> None:
    with held_lease(engine, settings(hang_seconds=0.2)) as lease:
        time.sleep(1.6)
        taken = commit(engine, claims.claim, STUDY, "b", 60)
        assert taken is not None
        with pytest.raises(LeaseLost):
            lease.beat()


def test_training_stops_when_the_slot_was_taken(engine: Engine) -> None:
    with held_lease(engine, settings()) as lease:
        with engine.begin() as connection:
            connection.execute(claims.slots.update().values(fence=9))
        time.sleep(0.3)
        with pytest.raises(LeaseLost, match="slot 0: another owner has it"):
            lease.beat()


def test_outage_shorter_than_the_lease_is_ridden_out(engine: Engine, tmp_path: Path) -> None:
    with held_lease(engine, settings()) as lease:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {claims.slots.name} RENAME TO away")
        time.sleep(0.4)
        lease.beat()
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE away RENAME TO {claims.slots.name}")
        time.sleep(0.3)
        lease.beat()
        assert commit(engine, claims.claim, STUDY, "b", 60) is None


def test_training_stops_when_an_outage_outlasts_the_lease(engine: Engine) -> None:
    with held_lease(engine, settings()) as lease:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {claims.slots.name} RENAME TO away")
        time.sleep(1.2)
        with pytest.raises(LeaseLost):
            lease.beat()


def test_lease_counts_from_when_the_claim_was_asked_for(engine: Engine) -> None:
    place = settings(renewal_seconds=0.3)
    with held_lease(engine, place, 2 * place.lease_seconds) as lease, pytest.raises(LeaseLost, match="has run out"):
        lease.beat()


def test_renewed_lease_counts_from_when_the_renewal_was_asked_for(engine: Engine) -> None:
    asked: list[float] = []

    def answer_the_first_late_and_no_other(*_: object) -> None:
        asked.append(time.monotonic())
        if len(asked) > 1:
            raise OperationalError("UPDATE slots", {}, Exception("away"))
        time.sleep(0.6)

    with held_lease(engine, settings()) as lease:
        event.listen(engine, "before_cursor_execute", answer_the_first_late_and_no_other)
        time.sleep(1.2)  # the lease is renewed from 0.1 s to 1 s after its beginning, not to 1.6 s
        with pytest.raises(LeaseLost, match="has run out"):
            lease.beat()
    assert len(asked) > 1


def test_renewal_is_tried_more_often_while_the_database_is_away(engine: Engine) -> None:
    asked: list[float] = []

    def fail(*_: object) -> None:
        asked.append(time.monotonic())
        raise OperationalError("UPDATE slots", {}, Exception("away"))

    with held_lease(engine, settings(lease_seconds=60, renewal_seconds=0.8)):
        event.listen(engine, "before_cursor_execute", fail)
        while len(asked) < 4:
            time.sleep(0.05)
    assert min(later - earlier for earlier, later in pairwise(asked)) < 0.8
