"""A result is fetched whole and as its manifest says, or the target does not pass for one."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.fetch import Corrupted, fetch
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


def test_result_is_not_fetched_onto_itself(source: FolderArtifacts) -> None:
    with pytest.raises(Failure, match="the result lies there already"):
        fetch(source, FolderArtifacts(source.root.parent / "other/../source"), partial=False)
    assert source.exists(MANIFEST)
