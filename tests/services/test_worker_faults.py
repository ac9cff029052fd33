"""Whatever is killed, frozen or unreachable: N trials asked, N settled, each once."""

import random
import signal
import time
from collections import Counter

import psycopg2
import pytest

from jobs.experiment.experiment import Experiment
from jobs.queue.tables import SlotState, slots
from tests.support import reporting
from tests.support.bucket_server import Bucket
from tests.support.crew import Crew
from tests.support.patience import PATIENCE_SECONDS
from tests.support.place import Place
from tests.support.reporting import LEASE, Reporting

TRIALS, EPOCHS = 6, 4


def prepared(place: Place, trials: int = TRIALS, epochs: int = EPOCHS) -> Experiment:
    sweep = reporting.experiment(trials, epochs)
    place.prepare(sweep)
    return sweep


class Killer:
    """Kills a worker of the crew now and then, `most` times in all, at most `pause` seconds apart."""

    def __init__(self, crew: Crew, seed: int, *, most: int, pause: float) -> None:
        self._crew, self._draw, self._most, self._pause = crew, random.Random(seed), most, pause
        self._at = time.monotonic() + self._draw.uniform(0, 0.6)
        self.kills = 0

    def __call__(self) -> None:
        if time.monotonic() >= self._at and self.kills < self._most:
            reporting.kill(self._draw.choice(self._crew.processes))
            self.kills += 1
            self._at = time.monotonic() + self._draw.uniform(0, self._pause)


@pytest.mark.parametrize("seed", range(8))  # more of them: `python -m tests.campaign processes`
def test_random_workers_are_killed_at_random_moments(place: Place, seed: int) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 3, 0.1)
    killer = Killer(crew, seed, most=4, pause=0.8)
    crew.run(killer)
    place.check(sweep)
    repeated = sum(place.epochs_trained().values()) - TRIALS * EPOCHS
    assert 0 <= repeated <= killer.kills, f"{repeated} epochs trained again after {killer.kills} kills"


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_are_killed_before_and_in_the_confirmations_change_none(place: Place, seed: int) -> None:
    sweep = reporting.experiment(3, 2, "sweep.confirm={trials: 2, seeds: 2}")
    place.prepare(sweep)
    crew = Crew(place, sweep, 3, 0.1)
    crew.run(Killer(crew, seed, most=6, pause=1.0))
    place.check(sweep)
    assert [row.state for row in place.rows(sweep)] == [SlotState.COMPLETE] * 7


def test_frozen_worker_finds_its_trial_taken_and_writes_nothing(place: Place) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 2, 0.2)
    frozen = crew.processes[0]
    time.sleep(0.7)
    reporting.kill(frozen, signal.SIGSTOP)
    crew.run_until(lambda: crew.settled() >= 3)
    reporting.kill(frozen, signal.SIGCONT)
    crew.run()
    place.check(sweep)
    assert sum(place.epochs_trained().values()) <= TRIALS * EPOCHS + 2


@pytest.mark.parametrize("down", [1.0, 3 * LEASE])
def test_bucket_that_is_away_during_checkpoints_is_waited_for(place: Place, bucket: Bucket, down: float) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 3, 0.2, **bucket.settings())
    crew.run_until(lambda: crew.settled() >= 1)
    bucket.server.stop()
    time.sleep(down)
    bucket.server.start()
    crew.run()
    place.check(sweep)
    assert sum(place.epochs_trained().values()) == TRIALS * EPOCHS
    assert {change.fence for change in place.ledger(sweep)} == {1}  # leases are renewed all the while
    assert set(crew.exit_codes) == {0}


@pytest.mark.parametrize("down", [0.0, 3.0])
def test_database_outage_shorter_than_the_lease_is_not_noticed(place: Place, down: float) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 3, 0.2, lease_seconds=8)
    crew.run_until(lambda: crew.settled() >= 1)
    place.server.restart(down)
    crew.run()
    place.check(sweep)
    assert sum(place.epochs_trained().values()) == TRIALS * EPOCHS
    assert {change.fence for change in place.ledger(sweep)} == {1}
    assert set(crew.exit_codes) == {0}


def test_database_outage_longer_than_the_lease_drops_trials_and_repeats_no_epoch(place: Place) -> None:
    sweep = prepared(place, TRIALS, 8)
    crew = Crew(place, sweep, 3, 0.2)
    # not while all of them are between two trials
    crew.run_until(lambda: crew.settled() >= 1 and len({slot for slot, _ in place.epochs_trained()}) > 3)
    place.server.restart(3 * LEASE)
    crew.run()
    place.check(sweep)
    assert sum(place.epochs_trained().values()) <= TRIALS * 8 + 3  # the one epoch that was under way
    assert set(crew.exit_codes) == {0}
    assert max(change.fence for change in place.ledger(sweep)) > 1


def test_frozen_database_is_an_outage_like_any_other(place: Place) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 2, 0.1)
    crew.run_until(lambda: crew.settled() >= 1)
    with place.server.frozen():
        time.sleep(2 * LEASE)
    crew.run()
    place.check(sweep)
    assert set(crew.exit_codes) == {0}


@pytest.mark.parametrize("seed", range(3))
def test_worker_is_killed_and_the_database_restarted_while_another_takes_over(place: Place, seed: int) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 3, 0.1)
    time.sleep(0.5)
    reporting.kill(crew.processes[0])
    time.sleep(LEASE + random.Random(seed).uniform(-0.2, 0.2))
    place.server.restart()
    crew.run()
    place.check(sweep)


def test_clocks_of_the_workers_do_not_matter(place: Place) -> None:
    sweep = prepared(place)
    settings = reporting.place(place.url(), place.folder)
    body = Reporting(EPOCHS, 0.2, place.folder / "journal")
    workers = [reporting.start(sweep, settings, body, offset) for offset in (-7200, 0, 7200)]
    time.sleep(0.8)
    reporting.kill(workers[0])
    time.sleep(LEASE)
    workers.append(reporting.start(sweep, settings, body, 7200))
    for worker in workers:
        worker.join(PATIENCE_SECONDS)
    place.check(sweep)
    assert sum(place.epochs_trained().values()) <= TRIALS * EPOCHS + 1


def test_workers_that_race_for_one_slot_begin_one_trial(place: Place) -> None:
    sweep = prepared(place, trials=1)
    crew = Crew(place, sweep, 6, 0.1)
    crew.run()
    place.check(sweep)
    assert set(place.epochs_trained().values()) == {1}
    assert [change.fence for change in place.ledger(sweep)] == [1, 1]


def test_terminated_worker_gives_its_slot_back_and_the_trial_goes_on(place: Place) -> None:
    sweep = prepared(place, trials=1, epochs=6)
    settings = reporting.place(place.url(), place.folder, lease_seconds=60)
    body = Reporting(6, 0.3, place.folder / "journal")
    first = reporting.start(sweep, settings, body)
    time.sleep(1.2)
    started = time.monotonic()
    reporting.kill(first, signal.SIGTERM)
    first.join(PATIENCE_SECONDS)
    assert time.monotonic() - started < 5
    assert first.exitcode == 75
    reporting.start(sweep, settings, body).join(PATIENCE_SECONDS)
    place.check(sweep)
    assert set(place.epochs_trained().values()) == {1}
    changes = [(change.before, change.after) for change in place.ledger(sweep)]
    assert changes == [
        ("waiting", "running"),
        ("running", "waiting"),
        ("waiting", "running"),
        ("running", "complete"),
    ]


def test_trial_that_kills_its_processes_is_settled_as_crashed_and_stops_no_other(place: Place) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 2, 0.05, max_crashes=2, fatal_slot=2)
    crew.run()
    place.check(sweep)
    states = [row.state for row in place.rows(sweep)]
    assert Counter(states) == {SlotState.COMPLETE: TRIALS - 1, SlotState.CRASHED: 1}
    assert states[2] is SlotState.CRASHED


def test_trial_that_fails_is_tried_again_and_then_settled_with_its_traceback(place: Place) -> None:
    sweep = prepared(place)
    crew = Crew(place, sweep, 2, 0.05, max_attempts=2, failing_slot=1)
    crew.run()
    place.check(sweep)
    row = place.rows(sweep)[1]
    assert (row.state, row.message) == (SlotState.FAILED, "RuntimeError: this one always fails")
    assert row.traceback is not None
    assert "Traceback" in row.traceback
    assert sum(change.slot == 1 and change.after is SlotState.RUNNING for change in place.ledger(sweep)) == 2


def test_poisoned_row_stops_no_other(place: Place) -> None:
    sweep = prepared(place)
    poison = f"UPDATE {slots.name} SET {{}} WHERE slot = {{}}"
    place.server.execute(poison.format("parameters = '{not json'", 0), place.database)
    place.server.execute(poison.format("trial_id = 4711", 1), place.database)
    place.server.execute(poison.format("owner = 'x', state = 'running', lease_end = NULL", 2), place.database)
    holder = psycopg2.connect(place.url())  # a session that hangs with a lock, as a forgotten console does
    with holder.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {slots.name} WHERE slot = 3 FOR UPDATE")
        crew = Crew(place, sweep, 2, 0.05)
        crew.run_until(lambda: crew.settled() == TRIALS - 1)
    holder.close()
    crew.run()
    states = [row.state for row in place.rows(sweep)]
    assert states == [SlotState.FAILED, SlotState.FAILED, *[SlotState.COMPLETE] * (TRIALS - 2)]


def test_worker_has_at_most_two_connections(place: Place) -> None:
    sweep = prepared(place, trials=12)
    crew = Crew(place, sweep, 4, 0.1)
    most = 0

    def count() -> None:
        nonlocal most
        query = (
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{place.database}' AND application_name = 'worker'"
        )
        ((found,),) = place.server.execute(query)
        most = max(most, int(str(found)))

    crew.run(count)
    assert 4 < most <= 8
