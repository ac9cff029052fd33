"""Arguments that no command asks for."""

import pytest

from jobs.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("local --confg mine.yaml", "local: --confg: no such option; did you mean --config?"),
        ("init --dta pictures", "init: --dta: no such option; did you mean --data?"),
        ("status --wach", "status: --wach: no such option; did you mean --watch?"),
        ("status --colour=red", "status: --colour=red: no such option; one of --help, "),
        ("--vesion", "--vesion: no such option; did you mean --version?"),
        ("local mine.yaml", "local: mine.yaml: not expected here; an experiment is given by --config, and a name"),
    ],
)
def test_what_is_unknown_is_named_with_what_may_be_meant(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert f"resnet-sweep: error: {words}" in capsys.readouterr().err
