"""Who looks at a sweep again and again sees what a first look would show."""

from pathlib import Path

import pytest
from sqlalchemy import event

from jobs.queue.status import SweepStatus
from jobs.queue.status_reader import StatusReader, sweep_status
from jobs.stages.sweep.running_trial import RunningTrial
from tests.support.databases import opened
from tests.support.sweeps import prepared, report, work


def without_times(status: SweepStatus) -> list[dict[str, object]]:
    return [{**vars(trial), "lease_left": None, "seconds": None} for trial in status.all]


def test_every_look_is_as_a_first_one(tmp_path: Path) -> None:
    sweep, settings = prepared(tmp_path, 6, "sweep.confirm={trials: 2, seeds: 2}")
    database = opened(settings.database_url)
    reader = StatusReader(database, sweep.study_name)
    looks: list[int] = []

    def body(trial: RunningTrial) -> None:
        compare()
        report(trial)

    def compare() -> None:
        ours, first = reader.read(), sweep_status(opened(settings.database_url), sweep.study_name)
        assert without_times(ours) == without_times(first)
        assert ours.usage.seconds == pytest.approx(first.usage.seconds, abs=1)
        assert ours.usage.hours == pytest.approx(first.usage.hours, abs=0.001)
        looks.append(ours.settled)

    compare()
    work(sweep, settings, body)
    compare()
    assert looks == [0, *range(6), 6, 7, 8, 9, 10]


def test_what_is_settled_is_not_read_again(tmp_path: Path) -> None:
    sweep, settings = prepared(tmp_path, 5)
    work(sweep, settings)
    database = opened(settings.database_url)
    reader = StatusReader(database, sweep.study_name)
    before = reader.read()
    said: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *asked: said.append(asked[2]))
    assert reader.read() == before
    assert said
    assert not [statement for statement in said if "trial_" in statement.partition("FROM")[2]]
