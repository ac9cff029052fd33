"""A result is fetched whole and as its manifest says, or the target does not pass for one."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.fetch import Corrupted, fetch
from jobs.artifacts.keys import EXPERIMENT
from jobs.artifacts.manifest import MANIFEST, NotAResult, write_manifest
from jobs.runtime.errors import Failure

T = TypeVar("T")
MODEL, REPORT, LOG = "final/model.json", "evaluation/report.html", "logs/sweep-0.log"


@pytest.fixture
def source(tmp_path: Path) -> FolderArtifacts:
    artifacts = FolderArtifacts(tmp_path / "source")
    for key in (MODEL, REPORT, LOG, "study.db", "study.db-shm"):
        artifacts.write_text(key, key)
    write_manifest(artifacts)
    return artifacts


@pytest.fixture
def target(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "target")


class Changing(FolderArtifacts):
    """A result in which something happens as its objects are read."""

    def __init__(self, root: Path, before: Callable[[str], None]) -> None:
        super().__init__(root)
        self._before = before

    def read(self, key: str, read: Callable[[Path], T]) -> T:
        self._before(key)
        return super().read(key, read)


def test_all_but_the_database_is_fetched(source: FolderArtifacts, target: FolderArtifacts) -> None:
    fetched = fetch(source, target, partial=False)
    assert target.listing() == sorted([MODEL, REPORT, LOG, MANIFEST])
    assert (fetched.objects, fetched.there) == (4, 0)
    assert fetched.bytes == sum(target.path(key).stat().st_size for key in target.listing())


def test_second_time_only_what_differs_is_fetched(source: FolderArtifacts, target: FolderArtifacts) -> None:
    fetch(source, target, partial=False)
    target.write_text(MODEL, MODEL.upper())  # of the same size
    assert fetch(source, target, partial=False).there == 1
    assert target.read_text(MODEL) == MODEL


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(("text", "words"), [("x", "changed: 1 bytes, expected 16"), (None, "missing, although")])
def test_object_that_is_not_as_the_manifest_says_ends_the_fetch(
    source: FolderArtifacts, target: FolderArtifacts, text: str | None, words: str, partial: bool
) -> None:
    fetch(source, target, partial=False)
    target.remove(MODEL)
    if text is None:
        source.remove(MODEL)
    else:
        source.write_text(MODEL, text)
    with pytest.raises(Corrupted, match=f"{MODEL}: {words}"):
        fetch(source, target, partial=partial)
    assert not target.exists(MODEL)
    assert not target.exists(MANIFEST)  # what is left does not pass for a result


def test_unfinished_result_is_fetched_only_if_asked_for(source: FolderArtifacts, target: FolderArtifacts) -> None:
    source.remove(MANIFEST)
    with pytest.raises(NotAResult):
        fetch(source, target, partial=False)
    assert fetch(source, target, partial=True).objects == 3
    assert target.listing() == sorted([MODEL, REPORT, LOG])


def test_object_without_a_checksum_may_vanish_meanwhile(source: FolderArtifacts, target: FolderArtifacts) -> None:
    vanishing = Changing(source.root, lambda key: source.remove(key) if key == LOG else None)
    fetch(vanishing, target, partial=False)
    assert target.listing() == sorted([MODEL, REPORT, MANIFEST])


def test_result_that_is_written_anew_meanwhile_is_not_taken_for_whole(
    source: FolderArtifacts, target: FolderArtifacts
) -> None:
    def write_anew(key: str) -> None:
        if key == LOG:  # which is fetched after the objects that the manifest names
            source.write_text(MODEL, "{}")
            write_manifest(source)

    with pytest.raises(Corrupted, match="written anew meanwhile; fetch it again"):
        fetch(Changing(source.root, write_anew), target, partial=False)
    assert not target.exists(MANIFEST)


CHECKPOINT, STRANGER = "trials/3/checkpoint-2.pt", "evaluation/stranger.html"


def test_object_that_the_manifest_does_not_name_is_left_out(source: FolderArtifacts, target: FolderArtifacts) -> None:
    for key in (STRANGER, "logs/stranger.html", "logs/deep/a.log"):
        source.write_text(key, key)
    assert fetch(source, target, partial=False).left_out == 3
    assert target.listing() == sorted([MODEL, REPORT, LOG, MANIFEST])


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"notes.txt": "mine"}, "holds notes.txt, not of this result"),
        ({"logs/sweep-1.log": "", "study.db": ""}, "holds logs/sweep-1.log and 1 more, not of this result"),
        ({EXPERIMENT: "seed: 1"}, "holds a result of another experiment.yaml"),
    ],
)
def test_folder_of_something_else_is_left_as_it_is(
    source: FolderArtifacts, target: FolderArtifacts, keys: dict[str, str], words: str, partial: bool
) -> None:
    source.write_text(EXPERIMENT, "seed: 0")
    write_manifest(source)
    for key, text in keys.items():
        target.write_text(key, text)
    with pytest.raises(Failure, match=f"^{target.root}: {words}; fetch into another folder$"):
        fetch(source, target, partial=partial)
    assert {key: target.read_text(key) for key in target.listing()} == keys


def test_study_is_fetched_again_when_it_is_finished(source: FolderArtifacts, target: FolderArtifacts) -> None:
    source.remove(MANIFEST)
    for key in (CHECKPOINT, EXPERIMENT):
        source.write_text(key, key)
    fetch(source, target, partial=True)
    assert target.exists(CHECKPOINT)
    source.remove(CHECKPOINT)
    write_manifest(source)
    fetch(source, target, partial=False)
    assert target.listing() == sorted([MODEL, REPORT, LOG, EXPERIMENT, MANIFEST])


def test_result_is_not_fetched_onto_itself(source: FolderArtifacts) -> None:
    with pytest.raises(Failure, match="the result lies there already"):
        fetch(source, FolderArtifacts(source.root.parent / "other/../source"), partial=False)
    assert source.exists(MANIFEST)
