"""One database and two folders of artifacts, of which only one is the study's."""

import shutil
from typing import Any

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.keys import IDENTITY
from jobs.artifacts.manifest import read_manifest, verify
from jobs.queue.export_import import export_study, import_study
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.sweep import stage as sweep
from tests.local.conftest import tiny
from tests.support.studies import STAGES, Studies

TINY = tiny("sweep={trials: 1, epochs: 1}", "finalTrain.epochs=2")


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> FolderArtifacts:
    return FolderArtifacts(tmp_path_factory.mktemp("other"))


def run(*stages: Any, settings: Settings, root: FolderArtifacts) -> None:
    for stage in stages:
        stage.run(TINY, settings, root)


def checked(root: FolderArtifacts) -> list[str]:
    """What is wrong with the result."""
    study = root.under("quick")
    return verify(study, read_manifest(study))


@pytest.mark.parametrize("stage", STAGES)
def test_artifacts_of_another_place_are_refused_and_left_as_they_are(
    settings: Settings, root: FolderArtifacts, other: FolderArtifacts, studies: Studies, stage: Any
) -> None:
    studies.copy(TINY, after=prepare, to=root)
    with pytest.raises(ConfigurationError) as raised:
        stage.run(TINY, settings, other)
    assert str(raised.value) == (
        f"study.name=quick: the study in {settings.database_url.removeprefix('sqlite:///')} was prepared with other "
        f"artifacts than those in {other.root}/quick; give the place of those, or choose another name"
    )
    assert "\n" not in str(raised.value)
    assert other.listing() == []


def test_both_are_found_again_wherever_they_lie(
    settings: Settings, root: FolderArtifacts, other: FolderArtifacts, studies: Studies
) -> None:
    studies.copy(TINY, after=sweep, to=root)
    moved = FolderArtifacts(other.root / "moved")
    shutil.copytree(root.root, moved.root)
    shutil.rmtree(root.root)
    there = settings.model_copy(update={"database_url": f"sqlite:///{moved.root}/study.db"})
    run(*STAGES, settings=there, root=moved)
    assert checked(moved) == []


def test_study_that_is_carried_to_another_database_gets_artifacts_of_its_own(
    settings: Settings, root: FolderArtifacts, other: FolderArtifacts, studies: Studies
) -> None:
    studies.copy(TINY, after=evaluate, to=root)
    there = settings.model_copy(update={"database_url": f"sqlite:///{other.root}/study.db"})
    export_study(settings.database_url, "quick", other.root / "carried")
    import_study(other.root / "carried", there.database_url)
    run(*STAGES, settings=there, root=other)
    run(*STAGES, settings=settings, root=root)
    assert [checked(other), checked(root)] == [[], []]
    assert other.under("quick").read_text(IDENTITY) != root.under("quick").read_text(IDENTITY)


def test_artifacts_follow_the_database_that_has_prepared_them_last(
    settings: Settings, root: FolderArtifacts, other: FolderArtifacts, studies: Studies
) -> None:
    studies.copy(TINY, after=prepare, to=root)
    there = settings.model_copy(update={"database_url": f"sqlite:///{other.root}/study.db"})
    run(prepare, settings=there, root=root)
    with pytest.raises(ConfigurationError, match="was prepared with other artifacts than those in"):
        run(sweep, settings=settings, root=root)
    run(*STAGES, settings=there, root=root)
    assert checked(root) == []
