from pathlib import Path

import pytest

from jobs.cli.main import main

TWO_LINES = "/no\nwhere"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["predict", "runs/quick", ""], "predict runs/quick ''"),
        (["predict", "", "image.png"], "predict ''"),
        (["fetch", "runs/quick", "--to", ""], "fetch runs/quick --to ''"),
        (["verify", ""], "verify ''"),
        (["status", "--runs="], "status --runs="),
        (["local", "--config", ""], "local --config ''"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_empty_argument_is_not_the_current_folder(
    command: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 78
    assert capsys.readouterr().err == f"resnet-sweep: {said}: the last of these is empty; a value expected\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["local", "--config", TWO_LINES],
        ["local", "--preset", TWO_LINES],
        ["local", "--set", TWO_LINES],
        ["local", "--set", f"data={{source: imagefolder, path: {TWO_LINES!r}}}"],
        ["check", "--config", TWO_LINES],
        ["status", "--runs", TWO_LINES],
        ["status", TWO_LINES],
        ["stop", TWO_LINES],
        ["export", "--file", TWO_LINES],
        ["import", TWO_LINES],
        ["verify", TWO_LINES],
        ["fetch", TWO_LINES],
        ["compare", TWO_LINES, "other"],
        ["predict", TWO_LINES, TWO_LINES],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("url", [None, f"sqlite://{TWO_LINES}"])
def test_fault_is_one_line_whatever_stands_in_what_it_quotes(
    command: list[str],
    url: str | None,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if url is None:
        monkeypatch.delenv("DATABASE_URL", raising=False)
    else:
        monkeypatch.setenv("DATABASE_URL", url)
    assert main(command) in (1, 2, 78)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("resnet-sweep: ")
