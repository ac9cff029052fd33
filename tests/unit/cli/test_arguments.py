from pathlib import Path

import pytest

from jobs.cli.main import main


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
