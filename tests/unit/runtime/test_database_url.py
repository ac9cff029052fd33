"""What DATABASE_URL names. PostgreSQL's forms are tried on a server, in tests/services."""

import os
from pathlib import Path

import pytest

from jobs.runtime.database_url import database_place, sqlite_file, sqlite_url
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import read_settings

ODD = ["what?", "no. #1", "100%", "50%25", "a%3Fb", "{x}", "a&mode=ro", "ü b", os.fsdecode(b"\xff"), "a\nb", "~"]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("folder", ["/data", "runs", "//data"])
def test_path_of_a_sqlite_file_is_what_it_was(folder: str, name: str) -> None:
    file = Path(folder, name, "study.db")
    assert sqlite_file(sqlite_url(file)) == file
    assert database_place(sqlite_url(file)) == str(file)


@pytest.mark.parametrize(
    "url",
    ["sqlite:///a?b/study.db", "sqlite:///study.db?mode=ro", "sqlite:///100%/study.db", "sqlite:///a%00", "sqlite://a"],
)
def test_url_that_names_no_sqlite_file_is_refused_with_how_it_is_written(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_settings(database_url=url, artifacts_url="runs")
    assert str(raised.value).endswith(f"{url}: not sqlite:///file, where ? and % of a path are written %3F and %25")


def test_plain_path_needs_no_quoting() -> None:
    assert sqlite_url(Path("/data/runs-1/my_study.db")) == "sqlite:////data/runs-1/my_study.db"
    assert sqlite_file("sqlite:///C# and {more} ü.db") == Path("C# and {more} ü.db")
