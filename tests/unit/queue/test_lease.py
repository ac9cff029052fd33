import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from jobs.queue import claims
from jobs.queue.claims import LeaseLost
from jobs.queue.connections import connect
from jobs.queue.lease import Lease
from jobs.queue.slots import create_sweep
from jobs.queue.tables import metadata
from jobs.runtime.settings import Settings
from tests.support.databases import commit

STUDY = "s"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path}/study.db")
    metadata.create_all(engine)
    commit(engine, create_sweep, STUDY, "", [{}])
    return engine


def settings(**values: float) -> Settings:
    place = {"database_url": "sqlite://", "artifacts_url": "runs", "lease_seconds": 0.9, "renewal_seconds": 0.1}
    return Settings.model_validate({**place, **values})


def held_lease(engine: Engine, place: Settings) -> Lease:
    held = commit(engine, claims.claim, STUDY, "a", place.lease_seconds)
    assert held is not None
    return Lease(engine, held, place, time.monotonic())


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
            connection.exec_driver_sql("ALTER TABLE slots RENAME TO away")
        time.sleep(0.4)
        lease.beat()
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO slots")
        time.sleep(0.3)
        lease.beat()
        assert commit(engine, claims.claim, STUDY, "b", 60) is None


def test_training_stops_when_an_outage_outlasts_the_lease(engine: Engine) -> None:
    with held_lease(engine, settings()) as lease:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE slots RENAME TO away")
        time.sleep(1.2)
        with pytest.raises(LeaseLost):
            lease.beat()
