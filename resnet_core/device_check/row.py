"""A row of the check, and how one comes from a function that looks at something."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "–"


@dataclass(frozen=True)
class Row:
    """What was found, in words; `advice` says what to do, and is empty unless it failed."""

    name: str
    state: State
    found: str
    advice: str = ""


class NotApplicable(Exception):
    """There is nothing to look at on this device; the message says why."""


class Wrong(Exception):
    """What was found is not as it should be."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.advice = advice


def look(name: str, find: Callable[[], str], advice: str) -> Row:
    """The row of what `find` returns or raises. `advice` is for exceptions that nobody has foreseen."""
    try:
        return Row(name, State.OK, find())
    except NotApplicable as reason:
        return Row(name, State.NOT_APPLICABLE, str(reason))
    except Wrong as wrong:
        return Row(name, State.FAILED, str(wrong), wrong.advice)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        return Row(name, State.FAILED, f"{type(error).__name__}: {said}" if said else type(error).__name__, advice)
