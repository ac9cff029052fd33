"""A manifest names what a result consists of, and every deviation from it is found."""

import hashlib
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.manifest import MANIFEST, NotAResult, read_manifest, verify, write_manifest

MODEL, REPORT = "final/model.json", "evaluation/report.html"


@pytest.fixture
def result(tmp_path: Path) -> FolderArtifacts:
    """A result of two objects, with logs and a database beside it."""
    artifacts = FolderArtifacts(tmp_path / "study")
    for key in (MODEL, REPORT, "logs/sweep-0.log", "study.db", "study.db-wal"):
        artifacts.write_text(key, key)
    write_manifest(artifacts)
    return artifacts


def faults(result: FolderArtifacts) -> list[str]:
    return [f"{fault.kind} {fault.key}" for fault in verify(result, read_manifest(result))]


def test_manifest_names_every_object_but_logs_database_and_itself(result: FolderArtifacts) -> None:
    write_manifest(result)
    objects = result.read_json(MANIFEST)["objects"]
    assert sorted(objects) == [REPORT, MODEL]
    assert objects[MODEL] == {"size": 16, "sha256": hashlib.sha256(MODEL.encode()).hexdigest()}
    assert faults(result) == []


def test_every_deviation_is_found(result: FolderArtifacts) -> None:
    result.write_text(MODEL, MODEL.upper())  # of the same size
    result.remove(REPORT)
    result.write_text("final/model.pt", "")
    result.write_text("logs/evaluate.log", "")
    assert faults(result) == [f"missing {REPORT}", f"changed {MODEL}", "extra final/model.pt"]


def test_size_is_compared_too(result: FolderArtifacts) -> None:
    recorded = result.read_json(MANIFEST)
    recorded["objects"][MODEL]["size"] = 17
    result.write_json(MANIFEST, recorded)
    (fault,) = verify(result, read_manifest(result))
    assert str(fault) == f"changed: {MODEL} (16 bytes, expected 17)"


def test_each_object_is_told_of_while_many_are_read(result: FolderArtifacts) -> None:
    seen: list[None] = []
    result.remove(REPORT)
    verify(result, read_manifest(result), lambda: seen.append(None))
    assert len(seen) == 2


@pytest.mark.parametrize("key", ["/etc/passwd", "../other/model.json", "final/../../x"])
def test_manifest_with_keys_outside_of_the_result_is_refused(result: FolderArtifacts, key: str) -> None:
    result.write_json(MANIFEST, {"objects": {key: {"size": 1, "sha256": "ab"}}})
    with pytest.raises(NotAResult, match=f"{MANIFEST}: .*{key} is not below the result$"):
        read_manifest(result)


def test_folder_without_a_manifest_is_no_result(result: FolderArtifacts) -> None:
    result.remove(MANIFEST)
    with pytest.raises(NotAResult, match=r"study: no manifest.json; a result is finished when it has one$"):
        read_manifest(result)
