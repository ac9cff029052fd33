"""Where a sweep of the tests runs."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Engine

from jobs.experiment.confirmation import confirmation_name
from jobs.experiment.experiment import Experiment
from jobs.queue.confirmations import count_claimable
from jobs.queue.database import Database
from jobs.queue.fenced_storage import create_tables
from jobs.queue.ledger import Change, read_ledger
from jobs.queue.slots import SlotRow, read_slots
from tests.support import reporting
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.postgres import Postgres

T = TypeVar("T")


@dataclass
class Place:
    """A database of its own on the server, and a folder."""

    server: Postgres
    database: str
    folder: Path

    def url(self, port: int | None = None) -> str:
        return self.server.url(self.database, port) + "?sslmode=disable&gssencmode=disable"

    @cached_property
    def opened(self) -> Database:
        create_tables(self.url())
        return opened(self.url())

    @property
    def engine(self) -> Engine:
        return self.opened.engine

    def prepare(self, sweep: Experiment) -> None:
        reporting.add_study(sweep, self.opened)

    def check(self, sweep: Experiment) -> None:
        confirm = sweep.sweep.confirm
        check_sweep(self.opened, sweep.study_name, sweep.sweep.trials, confirm.trials * confirm.seeds if confirm else 0)

    def ledger(self, sweep: Experiment) -> list[Change]:
        return self._read(lambda connection: read_ledger(connection, sweep.study_name))

    def rows(self, sweep: Experiment) -> list[SlotRow]:
        """Of the trials, then of the confirmations."""
        return self._read(
            lambda connection: [
                row
                for name in (sweep.study_name, confirmation_name(sweep.study_name))
                for row in read_slots(connection, name)
            ]
        )

    def settled(self, sweep: Experiment) -> bool:
        return all(row.state.settled for row in self.rows(sweep))

    def claimable(self, sweep: Experiment) -> int:
        return self._read(lambda connection: count_claimable(connection, sweep.study_name))

    def _read(self, query: Callable[[Connection], T]) -> T:
        return self.opened.read(query)

    def epochs_trained(self) -> Counter[tuple[int, int]]:
        """How often each epoch of each slot was trained."""
        lines = (self.folder / "journal").read_text().splitlines()
        return Counter((int(slot), int(epoch)) for _process, slot, epoch in map(str.split, lines))


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> Iterator[Place]:
    place = Place(postgres, postgres.new_database(), tmp_path)
    yield place
    place.engine.dispose()
