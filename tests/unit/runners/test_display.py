"""What a run shows of itself on a terminal, on one that can do little, and in a file."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_SECONDS

SCRIPT = """
import logging
from jobs.queue.ledger import Usage
from jobs.queue.status import SweepStatus, TrialStatus
from jobs.queue.tables import SlotState
from jobs.runners.display import Display

with Display("text") as display:
    display.sweep(SweepStatus([TrialStatus(slot=0, state=SlotState.WAITING, seconds=None)], Usage(0, 0, {})), 3)
    logging.getLogger("test").info("trial %s", "0 \\x1b[2J[/x]")
"""
CURSOR_HIDDEN = "\x1b[?25l"


def on_terminal(term: str) -> str:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": term}
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    subprocess.run([sys.executable, "-c", SCRIPT], stderr=theirs, env=environment, check=True, timeout=PATIENCE_SECONDS)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        return file.read(65536).decode()


def test_terminal_has_bars_and_log_lines_without_what_they_would_do_to_it() -> None:
    text = on_terminal("xterm")
    assert CURSOR_HIDDEN in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b[2J" not in text
    assert "sweep" in plain
    assert "0/1" in plain
    assert r"trial 0 \x1b[2J[/x]" in plain


def test_dumb_terminal_has_log_lines() -> None:
    assert on_terminal("dumb").splitlines()[-1].endswith(r" INFO    trial 0 \x1b[2J[/x]")


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_file_has_log_lines_whatever_colours_are_asked_for(variable: str, tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("w") as opened:
        environment = {**os.environ, variable: "1"}
        subprocess.run(
            [sys.executable, "-c", SCRIPT], stderr=opened, env=environment, check=True, timeout=PATIENCE_SECONDS
        )
    (line,) = file.read_text().splitlines()
    assert line.endswith(r" INFO    trial 0 \x1b[2J[/x]")
