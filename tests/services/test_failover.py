"""A primary that gives way to another server while it still answers."""

import json
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from jobs.queue import claims
from jobs.queue.claim import Claim
from jobs.queue.database import Database
from jobs.queue.slots import read_slots
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from resnet_core.epoch import EpochResult
from tests.support import reporting
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.postgres import Postgres
from tests.support.reporting import Reporting
from tests.support.standby import primary_and_standby, url_of_both

ONLY_READ = "ALTER SYSTEM SET default_transaction_read_only = on"


def test_primary_that_may_only_be_read_is_left_for_the_one_that_can_be_written_to(tmp_path: Path) -> None:
    sweep = reporting.experiment(4, 2)
    with primary_and_standby() as (primary, standby):
        name = primary.new_database()
        url = url_of_both(primary, standby, name)
        reporting.prepare(sweep, url)

        def body(run: RunningTrial) -> None:
            if run.slot == 1 and not run.epochs:  # the worker's sessions are open; they see this at once
                standby.wait_for_all_of(primary)
                primary.execute(ONLY_READ)
                primary.execute("SELECT pg_reload_conf()")
                standby.promote()
            Reporting(2, 0.05)(run)

        settings = reporting.place(url, tmp_path, outage_deadline_seconds=20)
        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)
        there = opened(standby.url(name))
        check_sweep(there, sweep.study_name, 4)
        there.close()


def test_owner_whose_claim_the_standby_never_received_settles_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its fence goes to another owner, on the server that has taken over: for a while both believe to hold it."""
    sweep = reporting.experiment(2, 2)
    with primary_and_standby() as (primary, standby):
        name = primary.new_database()
        url = url_of_both(primary, standby, name)
        reporting.prepare(sweep, url)
        standby.wait_for_all_of(primary)
        standby.cut_off()
        # The thread that renews the lease does not look in the moment in which nobody holds the slot.
        settings = reporting.place(url, tmp_path, lease_seconds=60, renewal_seconds=15, outage_deadline_seconds=20)
        others: list[BaseProcess] = []

        def body(run: RunningTrial) -> None:
            if not others:
                finish(run, 1)
                primary.stop()
                standby.promote()
                others.append(reporting.start(sweep, settings, Reporting(2, 1.0)))
                wait_until(lambda: ledger(standby, name) == [(0, 1)])
                assert run.slot == 0
            for epoch in range(len(run.epochs) + 1, 3):
                finish(run, epoch)

        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)
        others[0].join(30)
        assert others[0].exitcode == 0
        there = opened(standby.url(name))
        check_sweep(there, sweep.study_name, 2)
        there.close()
    assert [line for line in caplog.messages if line.endswith("; the trial is dropped")]


def test_trial_that_the_standby_never_received_is_dropped_and_not_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another owner has claimed the slot, and has made no trial for it yet."""
    sweep = reporting.experiment(2, 2)
    with primary_and_standby() as (primary, standby):
        name = primary.new_database()
        url = url_of_both(primary, standby, name)
        reporting.prepare(sweep, url)
        standby.wait_for_all_of(primary)
        standby.cut_off()
        settings = reporting.place(url, tmp_path, lease_seconds=60, renewal_seconds=15, outage_deadline_seconds=20)
        there: list[Database] = []
        claimed: list[Claim | None] = []

        def body(run: RunningTrial) -> None:
            if not there:
                finish(run, 1)
                primary.stop()
                standby.promote()
                there.append(opened(standby.url(name)))
                claimed.append(there[0].write(lambda on: claims.claim(on, sweep.study_name, "other", 60)))
            elif claimed[0] is not None:
                there[0].write(partial(claims.give_back, held=claimed[0]))
            for epoch in range(len(run.epochs) + 1, 3):
                finish(run, epoch)

        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)
        assert claimed[0] is not None
        assert claimed[0].slot == 0
        check_sweep(there[0], sweep.study_name, 2)
        assert [row.attempts for row in there[0].read(lambda on: read_slots(on, sweep.study_name))] == [0, 0]
        there[0].close()
    assert [line for line in caplog.messages if line.endswith("; the trial is dropped")]
    assert not [line for line in caplog.messages if line.endswith(" failed")]


def test_trial_that_had_ended_on_the_primary_ends_anew_with_all_its_values(tmp_path: Path) -> None:
    """Its worker has it in Optuna's cache as finished."""
    sweep = reporting.experiment(2, 3)
    with primary_and_standby() as (primary, standby):
        name = primary.new_database()
        url = url_of_both(primary, standby, name)
        reporting.prepare(sweep, url)
        bodies: list[int] = []

        def body(run: RunningTrial) -> None:
            bodies.append(run.slot)
            done = run.resume(lambda path: json.loads(path.read_text()))
            if done:
                run.take_up([EpochResult(**row) for row in done])
            if bodies == [0]:
                finish(run, 1)
                standby.wait_for_all_of(primary)
                standby.cut_off()
            elif bodies == [0, 1]:
                primary.stop()
                standby.promote()
            for epoch in range(len(run.epochs) + 1, 4):
                finish(run, epoch)

        settings = reporting.place(url, tmp_path, lease_seconds=60, renewal_seconds=15, outage_deadline_seconds=20)
        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)
        assert bodies == [0, 1, 0, 1]
        there = opened(standby.url(name))
        check_sweep(there, sweep.study_name, 2)
        there.close()


def finish(run: RunningTrial, epoch: int) -> None:
    run.step()
    result = EpochResult(epoch, 0.1, 1.0, 0.5, 1.0, 0.5, 0.1)
    rows = json.dumps([vars(row) for row in (*run.epochs, result)])
    run.finish_epoch(result, lambda path: path.write_text(rows))


def ledger(server: Postgres, database: str) -> list[tuple[object, ...]]:
    """Slot and fence of every claim that the server knows of."""
    query = "SELECT slot, fence FROM resnet_sweep_ledger WHERE to_state = 'running' ORDER BY id"
    return server.execute(query, database)


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
