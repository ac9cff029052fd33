import hashlib
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.manifest import write_manifest


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


def test_manifest_names_every_object_of_the_result(artifacts: FolderArtifacts) -> None:
    for key in ("final/model.json", "evaluation/figures/a.png", "logs/sweep-0.log", "study.db"):
        artifacts.write_text(key, key)
    write_manifest(artifacts)
    objects = artifacts.read_json("manifest.json")["objects"]
    assert sorted(objects) == ["evaluation/figures/a.png", "final/model.json"]
    digest = hashlib.sha256(b"final/model.json").hexdigest()
    assert objects["final/model.json"] == {"size": 16, "sha256": digest}
