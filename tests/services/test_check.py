"""`resnet-sweep check` against real services: whether all that the stages do would be allowed."""

import re
from pathlib import Path

import pytest

from jobs.cli.main import main
from tests.support.bucket_server import Bucket
from tests.support.place import Place


@pytest.fixture(autouse=True)
def artifacts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    monkeypatch.setenv("ARTIFACTS_URL", str(folder))
    monkeypatch.setenv("OUTAGE_DEADLINE_SECONDS", "1")
    return folder


def test_everything_can_be_done_and_nothing_stays(
    place: Place, artifacts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", place.url())
    assert main(["check"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"database {place.database} at 127.0.0.1:")
    assert first.endswith("; tables can be made and used")
    assert second == f"artifacts {artifacts}: can be written, listed, read and removed"
    assert list(artifacts.iterdir()) == []
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert place.server.execute(tables, place.database) == [(0,)]


def test_role_that_may_make_no_table_is_told_so(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = f"reader_{place.database}"
    place.server.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'r'")
    place.server.execute("REVOKE CREATE ON SCHEMA public FROM public", place.database)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{reader}:r@127.0.0.1:{place.server.port}/{place.database}")
    assert main(["check"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "permission denied for schema public" in line


def test_sqlite_file_that_was_not_there_is_not_there_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/study.db")
    assert main(["check"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"]


def test_deadline_of_the_environment_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/db")
    assert main(["check"]) == 1
    assert re.search(r"not reached for \d s: Connection refused", capsys.readouterr().err)


def test_bucket_can_be_used_and_nothing_stays(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/study.db")
    for name, value in bucket.settings().items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("ARTIFACTS_URL", bucket.url)
    assert main(["check"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith(": can be written, listed, read and removed")
    assert bucket.keys() == []
