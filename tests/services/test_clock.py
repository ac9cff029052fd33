"""A database whose clock jumps by more than a lease: its host's clock is set, or another host takes over."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.queue import claims
from jobs.queue.claims import LeaseLost
from jobs.queue.outcomes import Outcome
from jobs.queue.tables import SlotState
from tests.support import reporting
from tests.support.databases import commit
from tests.support.missing import missing
from tests.support.patience import PATIENCE_SECONDS
from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.reporting import Reporting

HOUR = 3600


class Clock:
    """The clock of a server; libfaketime reads the file at every look at it."""

    def __init__(self, file: Path) -> None:
        self._file, self._offset = file, 0
        self.jump(0)

    def jump(self, seconds: int) -> None:
        self._offset += seconds
        partial = self._file.with_suffix(".partial")
        partial.write_text(f"{self._offset:+d}")
        partial.replace(self._file)


@pytest.fixture(scope="module")
def server_and_clock() -> Iterator[tuple[Postgres, Clock]]:
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not found:
        missing("no libfaketime below /usr/lib; tests/services/install.sh brings it")
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        server = Postgres(folder)
        server.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        clock = Clock(folder / "clock")
        server.start()
        try:
            yield server, clock
        finally:
            server.stop()


@pytest.fixture
def clock(server_and_clock: tuple[Postgres, Clock]) -> Clock:
    return server_and_clock[1]


@pytest.fixture
def place(server_and_clock: tuple[Postgres, Clock], tmp_path: Path) -> Iterator[Place]:
    server, _ = server_and_clock
    place = Place(server, server.new_database(), tmp_path)
    yield place
    place.engine.dispose()


def test_owner_whose_lease_a_jump_has_ended_changes_nothing_more(place: Place, clock: Clock) -> None:
    sweep = reporting.experiment(1, 1)
    place.prepare(sweep)
    former = commit(place.engine, claims.claim, "quick", "former", 60)
    assert former is not None
    assert commit(place.engine, claims.claim, "quick", "next", 60) is None
    clock.jump(HOUR)
    held = commit(place.engine, claims.claim, "quick", "next", 60)
    assert held is not None
    assert not commit(place.engine, claims.renew, former, 60)
    with pytest.raises(LeaseLost):
        commit(place.engine, claims.settle, former, Outcome(SlotState.FAILED))
    commit(place.engine, claims.settle, held, Outcome(SlotState.FAILED))
    place.check(sweep)


def test_owner_keeps_its_slot_over_a_jump_back_and_no_longer_than_it_renews(place: Place, clock: Clock) -> None:
    sweep = reporting.experiment(1, 1)
    place.prepare(sweep)
    held = commit(place.engine, claims.claim, "quick", "owner", 60)
    assert held is not None
    clock.jump(-HOUR)
    assert commit(place.engine, claims.claim, "quick", "next", 60) is None
    assert commit(place.engine, claims.renew, held, 60)
    (row,) = place.rows(sweep)
    assert row.lease_left is not None
    assert 0 < row.lease_left <= 60


def test_sweep_is_right_although_the_clock_jumps_all_the_time(place: Place, clock: Clock) -> None:
    sweep = reporting.experiment(12, 3)
    place.prepare(sweep)
    settings = reporting.place(place.url(), place.folder)
    ended = threading.Event()

    def jump() -> None:
        while not ended.wait(0.25):
            clock.jump(HOUR)

    jumping = threading.Thread(target=jump)
    jumping.start()
    try:
        workers = [reporting.start(sweep, settings, Reporting(3, 0.1)) for _ in range(3)]
        for worker in workers:
            worker.join(PATIENCE_SECONDS)
    finally:
        ended.set()
        jumping.join()
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert any(change.lease_end is not None for change in place.ledger(sweep))  # a slot was taken from its owner
    place.check(sweep)
