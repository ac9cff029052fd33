"""Where a sweep of the tests runs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from sqlalchemy import Engine

from jobs import slots
from jobs.database import connect
from jobs.experiment import Experiment
from jobs.ledger import Change, read_ledger
from jobs.slots import SlotRow, read_slots
from jobs.storage import FencedStorage

from .checker import check_sweep
from .postgres import Postgres


@dataclass
class Place:
    """A database of its own on the server, and a folder."""

    server: Postgres
    database: str
    folder: Path

    def url(self, port: int | None = None) -> str:
        return self.server.url(self.database, port) + "?sslmode=disable&gssencmode=disable"

    def storage(self) -> FencedStorage:
        return FencedStorage(self.url())

    @cached_property
    def engine(self) -> Engine:
        return connect(self.url())

    def check(self, sweep: Experiment) -> None:
        storage = self.storage()
        try:
            check_sweep(storage, sweep.study_name, sweep.sweep.trials)
        finally:
            storage.engine.dispose()

    def ledger(self, sweep: Experiment) -> list[Change]:
        with self.engine.connect() as connection:
            return read_ledger(connection, sweep.study_name)

    def rows(self, sweep: Experiment) -> list[SlotRow]:
        with self.engine.connect() as connection:
            return read_slots(connection, sweep.study_name)

    def settled(self, sweep: Experiment) -> bool:
        return all(row.state.settled for row in self.rows(sweep))

    def claimable(self, sweep: Experiment) -> int:
        return slots.claimable(self.engine, sweep.study_name)

    def epochs_trained(self) -> Counter[tuple[int, int]]:
        """How often each epoch of each slot was trained."""
        lines = (self.folder / "journal").read_text().splitlines()
        return Counter((int(slot), int(epoch)) for _process, slot, epoch in map(str.split, lines))


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> Iterator[Place]:
    place = Place(postgres, postgres.new_database(), tmp_path)
    yield place
    place.engine.dispose()
