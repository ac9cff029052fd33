"""What only one process may do at a time: who was frozen while another took over changes nothing any more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from jobs.artifacts import FolderArtifacts, keys
from jobs.artifacts.manifest import read_manifest, verify, write_manifest
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
from tests.support.studies import Studies

TINY = tiny("sweep={trials: 1, epochs: 1}", "finalTrain.epochs=2")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with closing(Database.of(settings)) as database:
        create_tables(database)
        yield database


def let_leases_run_out(settings: Settings) -> None:
    with closing(Database.of(settings)) as database:
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
        let_leases_run_out(settings)
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


@pytest.mark.parametrize(
    ("before", "stage", "file"),
    [
        (sweep, final_train, "epochs.jsonl"),
        (sweep, final_train, "model.safetensors"),
        (sweep, final_train, "final/seed-0/model.json"),
        (final_train, evaluate, "evaluation/metrics.json"),
        (final_train, evaluate, "evaluation/report.html"),
        (final_train, evaluate, "model/model.json"),
        (final_train, evaluate, "manifest.json"),
    ],
)
def test_process_that_thaws_after_others_have_done_its_work_changes_nothing(
    settings: Settings, root: FolderArtifacts, studies: Studies, before: ModuleType, stage: ModuleType, file: str
) -> None:
    study = studies.copy(TINY, after=before, to=root)

    def let_others_do_it() -> None:
        let_leases_run_out(settings)
        stage.run(TINY, settings, root)
        if stage is final_train:
            write_manifest(study)  # so that any change is seen
        assert verify(study, read_manifest(study)) == []

    with pytest.raises(LeaseLost):
        stage.run(TINY, settings, Freezing(root.root, file, [let_others_do_it]))
    assert verify(study, read_manifest(study)) == []


def test_prepare_that_thaws_after_trials_were_added_takes_none_away(settings: Settings, root: FolderArtifacts) -> None:
    more = tiny("sweep={trials: 2, epochs: 1}", "finalTrain.epochs=2")

    def let_another_add_trials() -> None:
        let_leases_run_out(settings)
        prepare.run(more, settings, root)

    with pytest.raises(LeaseLost):
        prepare.run(TINY, settings, Freezing(root.root, keys.EXPERIMENT, [let_another_add_trials]))
    assert parse_experiment(root.under("quick").read_text(keys.EXPERIMENT)) == more
