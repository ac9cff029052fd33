"""What one process finds out, and those that start after it in the same container read."""

import os
from pathlib import Path

import pytest

from jobs.runtime.env_file import read_env_file, write_env_file

FOUND = {"DATABASE_URL": "postgresql://sweep:a=b@host/x", "AWS_ACCESS_KEY_ID": "sweep"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in FOUND:
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "environment"))
    return tmp_path / "environment"


def values() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in FOUND}


def test_what_is_written_is_read_by_the_next(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env_file(environment, FOUND)
    assert values() == FOUND
    assert environment.stat().st_mode & 0o777 == 0o600
    for name in FOUND:
        monkeypatch.setenv(name, "")
    read_env_file()
    assert values() == FOUND


def test_the_environment_wins(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    write_env_file(environment, FOUND)
    read_env_file()
    assert values() == FOUND | {"AWS_ACCESS_KEY_ID": "mine"}


def test_without_a_file_nothing_is_written(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENV_FILE")
    write_env_file(None, FOUND)
    read_env_file()
    assert values() == FOUND
    assert not environment.exists()
