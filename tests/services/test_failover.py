"""A primary that gives way to another server while it still answers."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.claim import Claim
from jobs.runtime.settings import Settings
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from resnet_core.epoch import EpochResult
from tests.support import reporting
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.reporting import Reporting
from tests.support.standby import PlaceWithStandby, place_with_standby

ONLY_READ = "ALTER SYSTEM SET default_transaction_read_only = on"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PlaceWithStandby]:
    with place_with_standby(tmp_path) as place:
        yield place


def settings_of(place: PlaceWithStandby) -> Settings:
    """The thread that renews the lease does not look in the moment in which nobody holds the slot."""
    limits = {"lease_seconds": 60, "renewal_seconds": 15, "outage_deadline_seconds": 20}
    return reporting.place(place.url(), place.folder, **limits)


def work(place: PlaceWithStandby, sweep: Experiment, body: Callable[[RunningTrial], None]) -> None:
    settings = settings_of(place)
    Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)


def test_primary_that_may_only_be_read_is_left_for_the_one_that_can_be_written_to(place: PlaceWithStandby) -> None:
    sweep = reporting.experiment(4, 2)
    place.prepare(sweep)

    def body(run: RunningTrial) -> None:
        if run.slot == 1 and not run.epochs:  # the worker's sessions are open; they see this at once
            place.standby.wait_for_all_of(place.server)
            place.server.execute(ONLY_READ)
            place.server.execute("SELECT pg_reload_conf()")
            place.standby.promote()
        Reporting(2, 0.05)(run)

    settings = reporting.place(place.url(), place.folder, outage_deadline_seconds=20)
    Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)
    there = opened(place.standby.url(place.database))
    check_sweep(there, sweep.study_name, 4)
    there.close()


def test_owner_whose_claim_the_standby_never_received_settles_nothing(
    place: PlaceWithStandby, caplog: pytest.LogCaptureFixture
) -> None:
    """Its fence goes to another owner, on the server that has taken over: for a while both believe to hold it."""
    sweep = reporting.experiment(2, 2)
    place.prepare(sweep)
    place.standby.cut_off()
    others: list[BaseProcess] = []

    def body(run: RunningTrial) -> None:
        if not others:
            finish(run, 1)
            place.fail_over()
            others.append(reporting.start(sweep, settings_of(place), Reporting(2, 1.0)))
            until(lambda: [(change.slot, change.fence) for change in place.ledger(sweep)] == [(0, 1)])
            assert run.slot == 0
        for epoch in range(len(run.epochs) + 1, 3):
            finish(run, epoch)

    work(place, sweep, body)
    others[0].join(PATIENCE_SECONDS)
    assert others[0].exitcode == 0
    place.check(sweep)
    assert [line for line in caplog.messages if line.endswith("; the trial is dropped")]


def test_trial_that_the_standby_never_received_is_dropped_and_not_failed(
    place: PlaceWithStandby, caplog: pytest.LogCaptureFixture
) -> None:
    """Another owner has claimed the slot, and has made no trial for it yet."""
    sweep = reporting.experiment(2, 2)
    place.prepare(sweep)
    place.standby.cut_off()
    claimed: list[Claim | None] = []

    def body(run: RunningTrial) -> None:
        if not claimed:
            finish(run, 1)
            place.fail_over()
            claimed.append(place.opened.write(lambda on: claims.claim(on, sweep.study_name, "other", 60)))
        elif claimed[0] is not None:
            place.opened.write(partial(claims.give_back, held=claimed[0]))
        for epoch in range(len(run.epochs) + 1, 3):
            finish(run, epoch)

    work(place, sweep, body)
    assert claimed[0] is not None
    assert claimed[0].slot == 0
    place.check(sweep)
    assert [row.attempts for row in place.rows(sweep)] == [0, 0]
    assert [line for line in caplog.messages if line.endswith("; the trial is dropped")]
    assert not [line for line in caplog.messages if line.endswith(" failed")]


def test_trial_that_had_ended_on_the_primary_ends_anew_with_all_its_values(place: PlaceWithStandby) -> None:
    """Its worker has it in Optuna's cache as finished."""
    sweep = reporting.experiment(2, 3)
    place.prepare(sweep)
    bodies: list[int] = []

    def body(run: RunningTrial) -> None:
        bodies.append(run.slot)
        done = run.resume(lambda path: json.loads(path.read_text()))
        if done:
            run.take_up([EpochResult(**row) for row in done])
        if bodies == [0]:
            finish(run, 1)
            place.standby.wait_for_all_of(place.server)
            place.standby.cut_off()
        elif bodies == [0, 1]:
            place.fail_over()
        for epoch in range(len(run.epochs) + 1, 4):
            finish(run, epoch)

    work(place, sweep, body)
    assert bodies == [0, 1, 0, 1]
    place.check(sweep)


def finish(run: RunningTrial, epoch: int) -> None:
    run.step()
    result = EpochResult(epoch, 0.1, 1.0, 0.5, 1.0, 0.5, 0.1)
    with run.checkpoint_writer(reporting.written) as writer:
        writer.save([*run.epochs, result])
    run.finish_epoch(result)
