"""Who looks at a sweep again and again sees what a first look would show."""

from pathlib import Path

from sqlalchemy import event

from jobs.queue.status import SweepStatus
from jobs.queue.status_reader import StatusReader, sweep_status
from jobs.stages.sweep.running_trial import RunningTrial
from tests.support.databases import opened
from tests.support.sweeps import prepared, report, work

ROUNDING = 1e-6  # of sums of times in another order


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
        before = sweep_status(opened(settings.database_url), sweep.study_name)
        ours = reader.read()
        after = sweep_status(opened(settings.database_url), sweep.study_name)
        assert without_times(before) == without_times(ours) == without_times(after)
        lowest, highest = before.usage.hours - ROUNDING, after.usage.hours + ROUNDING  # trials run on meanwhile
        assert lowest <= ours.usage.hours <= highest
        for slot, seconds in ours.usage.seconds.items():
            assert before.usage.seconds[slot] - ROUNDING <= seconds <= after.usage.seconds[slot] + ROUNDING
        assert before.usage.seconds.keys() == ours.usage.seconds.keys()
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
