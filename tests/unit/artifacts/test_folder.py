import errno
import os
from pathlib import Path

import pytest

from jobs.artifacts import ArtifactsRefused, ArtifactsUnreachable, FolderArtifacts


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path)


def test_object_appears_only_when_it_is_whole(artifacts: FolderArtifacts) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        assert not artifacts.exists("a/b.txt")
        assert artifacts.listing() == []

    artifacts.write("a/b.txt", write)
    assert artifacts.read_text("a/b.txt") == "half"


def test_write_that_fails_leaves_the_old_object_and_nothing_else(artifacts: FolderArtifacts) -> None:
    artifacts.write_text("a.txt", "old")

    def fail(path: Path) -> None:
        path.write_text("new")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        artifacts.write("a.txt", fail)
    assert artifacts.read_text("a.txt") == "old"
    assert [file.name for file in artifacts.root.iterdir()] == ["a.txt"]


def test_json_refuses_what_is_not_json(artifacts: FolderArtifacts) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json("a.json", {"accuracy": float("nan")})
    assert not artifacts.exists("a.json")


def test_object_that_is_being_written_is_not_listed_and_those_of_a_folder_are_sorted(
    artifacts: FolderArtifacts,
) -> None:
    for key in ("trials/1/b", "trials/1/a", "trials/10/a", "final/a"):
        artifacts.write_text(key, key)
    seen: list[list[str]] = []
    artifacts.write("trials/1/c", lambda path: (path.write_text("half"), seen.append(artifacts.listing("trials/1"))))
    assert seen == [["trials/1/a", "trials/1/b"]]
    assert artifacts.listing("trials") == ["trials/1/a", "trials/1/b", "trials/1/c", "trials/10/a"]
    assert artifacts.listing("nowhere") == []


def test_object_that_is_not_there_is_named_and_may_be_removed(artifacts: FolderArtifacts) -> None:
    artifacts.write_text("a/b.txt", "")
    for key in ("b.txt", "a"):  # a folder is no object
        assert not artifacts.exists(key)
        with pytest.raises(FileNotFoundError, match=f"{artifacts.root}/{key}: not there"):
            artifacts.read_text(key)
    artifacts.remove("b.txt")


@pytest.mark.parametrize("key", ["/etc/passwd", "../b", "a/../../b"])
def test_key_outside_of_the_folder_is_refused(artifacts: FolderArtifacts, key: str) -> None:
    for act in (artifacts.exists, artifacts.read_text, artifacts.remove, artifacts.listing, artifacts.under):
        with pytest.raises(ValueError, match=f"{key}: not below {artifacts.root}"):
            act(key)
    with pytest.raises(ValueError, match="not below"):
        artifacts.write_text(key, "")


def test_disk_that_is_full_may_have_room_later_and_missing_rights_do_not_pass(artifacts: FolderArtifacts) -> None:
    def fail(number: int) -> None:
        raise OSError(number, os.strerror(number), "/runs/a.txt")

    with pytest.raises(ArtifactsUnreachable, match=r"a\.txt: No space left on device, [0-9,]+ bytes free$"):
        artifacts.write("a.txt", lambda _path: fail(errno.ENOSPC))
    with pytest.raises(ArtifactsRefused, match=r"a\.txt: Permission denied"):
        artifacts.write("a.txt", lambda _path: fail(errno.EACCES))
