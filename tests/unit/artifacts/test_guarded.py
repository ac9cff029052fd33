from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.guarded import GuardedArtifacts


class Lost(Exception):
    pass


def lost() -> None:
    raise Lost


def test_what_has_lost_its_claim_changes_nothing(tmp_path: Path) -> None:
    artifacts = FolderArtifacts(tmp_path)
    artifacts.write_text("a/kept", "as it was")
    guarded = GuardedArtifacts(artifacts, lost).under("a")
    with pytest.raises(Lost):
        guarded.write_text("kept", "changed")
    with pytest.raises(Lost):
        guarded.remove("kept")
    with pytest.raises(Lost):
        guarded.write_text("new", "")
    assert (guarded.listing(), guarded.read_text("kept")) == (["kept"], "as it was")
    assert (guarded.exists("kept"), guarded.location) == (True, str(tmp_path / "a"))


def test_check_comes_after_what_takes_long_and_before_the_change(tmp_path: Path) -> None:
    order: list[str] = []
    artifacts = FolderArtifacts(tmp_path)
    guarded = GuardedArtifacts(artifacts, lambda: order.append(f"check, exists: {artifacts.exists('key')}"))

    def write(path: Path) -> None:
        order.append("write")
        path.touch()

    guarded.write("key", write)
    assert order == ["write", "check, exists: False"]
    assert artifacts.exists("key")
