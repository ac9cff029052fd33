"""What `prepare` writes into the database, and only while nobody else does."""

from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.queue.claim import LeaseLost
from jobs.queue.create import create_study_and_slots, create_tables
from jobs.queue.exclusive import RESULT, exclusively
from jobs.queue.slots import read_slots
from jobs.queue.tables import slots, sweeps
from tests.support import reporting
from tests.support.databases import opened


def test_process_that_has_lost_its_claim_takes_no_trial_away(tmp_path: Path) -> None:
    few, more = reporting.experiment(1, 2), reporting.experiment(3, 2)
    url = f"sqlite:///{tmp_path}/study.db"
    settings = reporting.place(url, tmp_path, lease_seconds=60, renewal_seconds=15)
    with closing(opened(url)) as database:
        create_tables(database)
        with exclusively(database, settings, "quick", RESULT) as frozen:
            database.write(lambda connection: connection.execute(sa.update(slots).values(lease_end=0.0)))
            assert reporting.extend(more, database, tmp_path) == (3, 3)
            before = database.read(lambda connection: connection.execute(sa.select(sweeps)).all())
            with pytest.raises(LeaseLost):
                create_study_and_slots(few, database, frozen.claim, "1" * 32, 216)
        assert database.read(lambda connection: connection.execute(sa.select(sweeps)).all()) == before
        assert len(database.read(lambda connection: read_slots(connection, "quick"))) == 3
