"""A database that has forgotten what it had acknowledged, as one does that fails over to a standby that lagged behind."""

import pytest
import sqlalchemy as sa

from jobs.artifacts import Artifacts
from jobs.queue.slots import read_slots
from jobs.queue.status_reader import read_trials
from jobs.queue.tables import slots
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from resnet_core.epoch import EpochResult
from tests.local.conftest import tiny
from tests.support.checker import check_sweep
from tests.support.databases import opened

SWEEP = tiny("sweep={trials: 2, epochs: 3}")


def finish(run: RunningTrial, epoch: int) -> None:
    result = EpochResult(epoch, 0.1, 1.0, 0.5, 1.0, epoch / 10, 0.1)
    run.finish_epoch(result)


def test_trial_that_it_has_forgotten_itself_begins_anew_and_has_failed_nothing(
    settings: Settings, root: Artifacts
) -> None:
    """The claim still holds: it was made in an earlier transaction than the trial."""
    prepare.run(SWEEP, settings, root)
    database = opened(settings.database_url)
    bodies: list[int] = []

    def body(run: RunningTrial) -> None:
        bodies.append(run.slot)
        finish(run, 1)
        if len(bodies) in (1, 2):  # before a report, and before the end
            for epoch in (2, 3)[: len(bodies) * 2 - 2]:
                finish(run, epoch)
            database.write(forget_trials)
        for epoch in range(len(run.epochs) + 1, 4):
            finish(run, epoch)

    Worker(SWEEP, settings, root.under(SWEEP.study_name)).work(body)
    assert bodies == [0, 0, 0, 1]
    check_sweep(database, SWEEP.study_name, 2)
    assert [row.attempts for row in database.read(lambda on: read_slots(on, SWEEP.study_name))] == [0, 0]
    database.close()


def forget_trials(connection: sa.Connection) -> None:
    for table in (
        "trials",
        "trial_params",
        "trial_user_attributes",
        "trial_system_attributes",
        "trial_intermediate_values",
    ):
        connection.execute(sa.text(f"DELETE FROM {table}"))
    connection.execute(sa.update(slots).values(trial_id=None))


@pytest.mark.parametrize("table", ["trial_params", "trial_user_attributes", "trial_intermediate_values"])
def test_what_it_has_forgotten_of_a_trial_is_written_again(settings: Settings, root: Artifacts, table: str) -> None:
    prepare.run(SWEEP, settings, root)
    database = opened(settings.database_url)
    whole: list[dict[str, object]] = []

    def body(run: RunningTrial) -> None:
        run.note(macs=7.0)
        whole.append(run.parameters)
        for epoch in (1, 2):
            finish(run, epoch)
        forget = sa.text(f"DELETE FROM {table} WHERE trial_id = (SELECT max(trial_id) FROM trials)")
        database.write(lambda connection: connection.execute(forget))
        finish(run, 3)

    Worker(SWEEP, settings, root.under(SWEEP.study_name)).work(body)
    check_sweep(database, SWEEP.study_name, 2)
    trials = read_trials(database, SWEEP.study_name)
    assert [trial.params for trial in trials] == whole
    assert [trial.user_attrs["macs"] for trial in trials] == [7.0, 7.0]
    assert [trial.intermediate_values for trial in trials] == [{1: 0.1, 2: 0.2, 3: 0.3}] * 2
    database.close()
