"""What only one process may do at a time: who was frozen while another took over changes nothing any more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.artifacts import FolderArtifacts, keys
from jobs.artifacts.manifest import read_manifest, verify
from jobs.experiment.load import parse_experiment
from jobs.queue.claim import LeaseLost
from jobs.queue.create import create_tables
from jobs.queue.database import Database
from jobs.queue.exclusive import RESULT, exclusively
from jobs.queue.tables import slots
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep import stage as sweep
from tests.local.conftest import tiny

TINY = tiny("sweep={trials: 1, epochs: 1}", "finalTrain.epochs=2")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with closing(Database.of(settings)) as database:
        create_tables(database)
        yield database


def let_leases_run_out(database: Database) -> None:
    database.write(lambda connection: connection.execute(sa.update(slots).values(lease_end=0.0)))


def test_work_waits_until_whoever_does_it_is_done(database: Database, settings: Settings) -> None:
    order: list[str] = []

    def second() -> None:
        with closing(Database.of(settings)) as other, exclusively(other, settings, "study", RESULT) as hold:
            order.append(f"second with fence {hold.claim.fence}")

    with exclusively(database, settings, "study", RESULT) as hold, exclusively(database, settings, "other", RESULT):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(1)
        hold.check()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second with fence 2"]


def test_work_that_another_process_has_taken_over_is_known_as_lost(database: Database, settings: Settings) -> None:
    with exclusively(database, settings, "study", RESULT) as first:
        let_leases_run_out(database)
        with exclusively(database, settings, "study", RESULT) as second:
            with pytest.raises(LeaseLost, match=r"^study/result: 1-\S+ does not hold it any more$"):
                first.check()
            second.check()
        with pytest.raises(LeaseLost):
            first.check()


class Freezing(FolderArtifacts):
    """Those of a process that freezes just before it writes a certain file, once, and thaws when `meanwhile` is done."""

    def __init__(self, root: Path, file: str, meanwhile: list[Callable[[], None]]) -> None:
        super().__init__(root)
        self._file, self._meanwhile = file, meanwhile

    def under(self, prefix: str) -> "Freezing":
        return Freezing(self.path(prefix), self._file, self._meanwhile)

    def write(self, key: str, write: Callable[[Path], object]) -> None:
        if str(self.path(key)).endswith(self._file) and self._meanwhile:
            self._meanwhile.pop()()
        super().write(key, write)


def run(*stages: Any, settings: Settings, root: FolderArtifacts) -> None:
    for stage in stages:
        stage.run(TINY, settings, root)


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        (final_train, "epochs.jsonl"),
        (final_train, "model.safetensors"),
        (final_train, "final/seed-0/model.json"),
        (evaluate, "evaluation/metrics.json"),
        (evaluate, "evaluation/report.html"),
        (evaluate, "model/model.json"),
        (evaluate, "manifest.json"),
    ],
)
def test_process_that_thaws_after_others_have_done_its_work_changes_nothing(
    database: Database, settings: Settings, root: FolderArtifacts, stage: Any, file: str
) -> None:
    run(prepare, sweep, settings=settings, root=root)
    if stage is evaluate:
        run(final_train, settings=settings, root=root)
    study = root.under("quick")

    def let_others_do_it() -> None:
        let_leases_run_out(database)
        run(final_train, evaluate, settings=settings, root=root)
        assert verify(study, read_manifest(study)) == []

    with pytest.raises(LeaseLost):
        stage.run(TINY, settings, Freezing(root.root, file, [let_others_do_it]))
    assert verify(study, read_manifest(study)) == []


def test_prepare_that_thaws_after_trials_were_added_takes_none_away(
    database: Database, settings: Settings, root: FolderArtifacts
) -> None:
    more = tiny("sweep={trials: 2, epochs: 1}", "finalTrain.epochs=2")

    def let_another_add_trials() -> None:
        let_leases_run_out(database)
        prepare.run(more, settings, root)

    with pytest.raises(LeaseLost):
        prepare.run(TINY, settings, Freezing(root.root, keys.EXPERIMENT, [let_another_add_trials]))
    assert parse_experiment(root.under("quick").read_text(keys.EXPERIMENT)) == more
