"""Results that lie in a folder: checked against their manifest, and brought elsewhere."""

import hashlib
import json
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.fetch import Corrupted
from jobs.artifacts.fetch import fetch as fetch_result
from jobs.artifacts.keys import MANIFEST
from jobs.artifacts.manifest import write_manifest
from jobs.cli.main import main

OBJECTS = {
    "experiment.yaml": "seed: 0\n",
    "final/seed-0/model.json": "{}",
    "final/seed-0/model.safetensors": "weights" * 1000,
    "evaluation/figures/history.png": "picture",
}
OTHERS = {"logs/prepare-a.log": "all went well\n", "study.db": "a database"}
WEIGHTS = "final/seed-0/model.safetensors"


@pytest.fixture
def result(tmp_path: Path) -> FolderArtifacts:
    artifacts = FolderArtifacts(tmp_path / "runs/quick")
    for key, text in (OBJECTS | OTHERS).items():
        artifacts.write_text(key, text)
    write_manifest(artifacts)
    return artifacts


@pytest.fixture
def target(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "fetched")


def change(result: FolderArtifacts, key: str, text: str | None) -> None:
    """What happens to files behind our back."""
    path = result.root / key
    if text is None:
        path.unlink()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def fetch(result: FolderArtifacts, target: FolderArtifacts, *options: str) -> int:
    return main(["fetch", str(result.root), "--to", str(target.root), *options])


def test_complete_result_is_verified(result: FolderArtifacts, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(result.root)]) == 0
    assert capsys.readouterr().out == f"{result.root}: 4 objects, 7.0 kB, all as the manifest says\n"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "faults", "summary"),
    [
        ({WEIGHTS: None}, [f"missing: {WEIGHTS}"], "1 missing"),
        ({WEIGHTS: "weight"}, [f"changed: {WEIGHTS} (6 bytes, expected 7000)"], "1 changed"),
        (
            {"final/seed-0/model.json": "[]"},
            [f"changed: final/seed-0/model.json (sha256 {digest('[]')}, expected {digest('{}')})"],
            "1 changed",
        ),
        ({"final/notes.txt": "mine"}, ["extra: final/notes.txt"], "1 extra"),
        (
            {WEIGHTS: None, "experiment.yaml": "seed: 10\n", "a": "", "b/c": ""},
            ["extra: a", "extra: b/c", "changed: experiment.yaml (9 bytes, expected 8)", f"missing: {WEIGHTS}"],
            "1 changed, 2 extra, 1 missing",
        ),
    ],
    ids=["missing", "shorter", "changed", "extra", "all at once"],
)
def test_every_difference_from_the_manifest_is_named(
    result: FolderArtifacts,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str | None],
    faults: list[str],
    summary: str,
) -> None:
    for key, text in changes.items():
        change(result, key, text)
    assert main(["verify", str(result.root)]) == 1
    assert capsys.readouterr().out.splitlines() == [*faults, f"{result.root}: {summary}"]


def test_logs_and_database_may_change(result: FolderArtifacts) -> None:
    for key in (*OTHERS, "logs/sweep-0-b.log", "study.db-wal"):
        change(result, key, "something else")
    assert main(["verify", str(result.root)]) == 0


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, ": no manifest.json; a result is finished when it has one"),
        ("", "/manifest.json: not JSON: "),
        ('{"objects": {"a": {"size": 3}}}', "/manifest.json: objects.a.sha256: needed, but not given"),
        (
            '{"objects": {"../a": {"size": 3, "sha256": "x"}}}',
            "/manifest.json: objects: ../a is not below",
        ),
        ('{"objects": {"/etc/a": {"size": 3, "sha256": "x"}}}', "/manifest.json: objects: /etc/a is not"),
    ],
    ids=["none", "empty", "without checksums", "above the result", "elsewhere"],
)
def test_what_is_no_result_is_said_in_one_line(
    result: FolderArtifacts,
    target: FolderArtifacts,
    capsys: pytest.CaptureFixture[str],
    manifest: str | None,
    message: str,
) -> None:
    change(result, MANIFEST, manifest)
    for command in (["verify", str(result.root)], ["fetch", str(result.root), "--to", str(target.root)]):
        assert main(command) == 1
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith(f"resnet-sweep: {result.root}{message}")
    assert not target.root.exists()


def test_place_that_is_neither_folder_nor_bucket_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "https://host/result"]) == 78
    assert capsys.readouterr().err == "resnet-sweep: https://host/result: either a folder or s3://bucket/prefix\n"


def test_fetched_result_is_the_same_and_has_its_logs(
    result: FolderArtifacts, target: FolderArtifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(result, target) == 0
    assert capsys.readouterr().out == f"{target.root}: 6 objects, {_size(target)}\n"
    assert target.listing() == sorted([*OBJECTS, "logs/prepare-a.log", MANIFEST])
    assert {key: target.read_text(key) for key in OBJECTS} == OBJECTS
    assert main(["verify", str(target.root)]) == 0


def _size(target: FolderArtifacts) -> str:
    return f"{sum(target.path(key).stat().st_size for key in target.listing()) / 1000:.1f} kB"


def test_result_is_fetched_into_a_folder_of_its_name_unless_told(
    result: FolderArtifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fetch", f"{result.root}/"]) == 0
    assert main(["verify", "quick"]) == 0


def test_fetch_goes_on_with_what_is_there_and_repairs_it(
    result: FolderArtifacts, target: FolderArtifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    target.write_text("experiment.yaml", OBJECTS["experiment.yaml"])
    target.write_text(WEIGHTS, "half of it")
    kept = target.path("experiment.yaml").stat()
    assert fetch(result, target) == 0
    assert ", 1 of them there before" in capsys.readouterr().out
    again = target.path("experiment.yaml").stat()
    assert (again.st_ino, again.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert target.read_text(WEIGHTS) == OBJECTS[WEIGHTS]
    assert main(["verify", str(target.root)]) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("weightz" * 1000, "changed: sha256 "),
        ("weight", "changed: 6 bytes, expected 7000"),
        (None, "missing, although the manifest names it"),
    ],
    ids=["another", "shorter", "missing"],
)
@pytest.mark.parametrize("options", [[], ["--partial"]], ids=["whole", "partial"])
def test_corrupted_result_is_refused_and_the_target_gets_no_manifest(
    result: FolderArtifacts,
    target: FolderArtifacts,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    reason: str,
    options: list[str],
) -> None:
    assert fetch(result, target) == 0  # once it was right
    change(target, WEIGHTS, None)
    change(result, WEIGHTS, text)
    assert fetch(result, target, *options) == 1
    assert capsys.readouterr().err.startswith(f"resnet-sweep: {result.root}/{WEIGHTS}: {reason}")
    assert not target.exists(MANIFEST)
    assert not target.exists(WEIGHTS)
    assert not list(target.root.rglob("*.partial-*"))


class Rewritten(FolderArtifacts):
    """A result that is written anew when somebody takes its last log."""

    def listing(self, prefix: str = "") -> list[str]:
        keys = super().listing(prefix)
        self.write_json(MANIFEST, {"objects": {}})
        return keys


def test_result_that_is_written_anew_meanwhile_is_refused(result: FolderArtifacts, target: FolderArtifacts) -> None:
    with pytest.raises(Corrupted, match="the result was written anew meanwhile; fetch it again"):
        fetch_result(Rewritten(result.root), target, partial=False)
    assert not target.exists(MANIFEST)


def test_unfinished_result_is_fetched_only_when_asked(result: FolderArtifacts, target: FolderArtifacts) -> None:
    change(result, MANIFEST, None)
    assert fetch(result, target) == 1
    assert not target.root.exists()
    assert fetch(result, target, "--partial") == 0
    assert target.listing() == sorted([*OBJECTS, "logs/prepare-a.log"])
    write_manifest(result)
    assert fetch(result, target, "--partial") == 0
    assert main(["verify", str(target.root)]) == 0


def test_result_is_not_fetched_onto_itself(result: FolderArtifacts, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(result, FolderArtifacts(result.root.parent / "." / "quick")) == 1
    assert "the result lies there already" in capsys.readouterr().err
    assert main(["verify", str(result.root)]) == 0


def test_manifest_is_the_last_to_be_written(result: FolderArtifacts, target: FolderArtifacts) -> None:
    assert fetch(result, target) == 0
    written = {key: target.path(key).stat().st_mtime_ns for key in target.listing()}
    assert written[MANIFEST] == max(written.values())
    assert json.loads(target.read_text(MANIFEST)) == json.loads(result.read_text(MANIFEST))
