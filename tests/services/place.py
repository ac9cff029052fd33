"""Where a sweep of the tests runs."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from jobs import slots
from jobs.database import connect
from jobs.experiment import Experiment
from jobs.ledger import Change, read_ledger
from jobs.slots import SlotRow, read_slots
from jobs.storage import FencedStorage

from .checker import check_sweep
from .postgres import Postgres

T = TypeVar("T")


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

    def check(self, sweep: Experiment) -> None:
        storage = self.storage()
        try:
            check_sweep(storage, sweep.study_name, sweep.sweep.trials)
        finally:
            storage.engine.dispose()

    def ledger(self, sweep: Experiment) -> list[Change]:
        return self._read(lambda connection: read_ledger(connection, sweep.study_name))

    def rows(self, sweep: Experiment) -> list[SlotRow]:
        return self._read(lambda connection: read_slots(connection, sweep.study_name))

    def _read(self, query: Callable[[Connection], T]) -> T:
        engine = connect(self.url())
        try:
            with engine.connect() as connection:
                return query(connection)
        finally:
            engine.dispose()

    def settled(self, sweep: Experiment) -> bool:
        return all(row.state.settled for row in self.rows(sweep))

    def claimable(self, sweep: Experiment) -> int:
        engine = connect(self.url())
        try:
            return slots.claimable(engine, sweep.study_name)
        finally:
            engine.dispose()

    def epochs_trained(self) -> Counter[tuple[int, int]]:
        """How often each epoch of each slot was trained."""
        lines = (self.folder / "journal").read_text().splitlines()
        return Counter((int(slot), int(epoch)) for _process, slot, epoch in map(str.split, lines))


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> Place:
    return Place(postgres, postgres.new_database(), tmp_path)
