from io import StringIO

from hypothesis import given, settings
from rich.console import Console

from jobs.cli.status_table import status_table
from jobs.queue.ledger import Usage
from jobs.queue.status import SweepStatus, TrialStatus
from jobs.queue.tables import SlotState
from resnet_core.shown_text import is_shown, visible_lines
from tests.support.hostile import texts
from tests.support.invented import experiment

EXPERIMENT = experiment()


def shown(*trials: TrialStatus) -> str:
    file = StringIO()
    Console(file=file, width=400).print(status_table(EXPERIMENT, SweepStatus(list(trials), Usage(0, 0, {}))))
    return file.getvalue()


def failed(message: str) -> TrialStatus:
    return TrialStatus(slot=0, number=0, state=SlotState.FAILED, attempts=3, message=message, seconds=1.0)


def test_brackets_in_a_message_are_no_markup() -> None:
    assert "KeyError: [/x] [bold] :smile:" in shown(failed("KeyError: [/x] [bold] :smile:"))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts, texts)
def test_table_holds_any_message_and_any_owner(message: str, owner: str) -> None:
    running = TrialStatus(slot=1, state=SlotState.RUNNING, owner=owner, seconds=1.0)
    lines = shown(failed(message), running).split("\n")
    assert all(map(is_shown, lines))
    rows = [" ".join(line.replace("│", " ").split()) for line in lines]
    for line in (*visible_lines(message).split("\n"), *visible_lines(owner).split("\n")):
        assert any(row.endswith(" ".join(line.replace("│", " ").split())) for row in rows)
