"""What came of one schedule of faults."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """`faults` in the order in which they were made; `violation` is empty if every promise was kept."""

    seed: str
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    repeated_epochs: int | None = None
    violation: str = ""

    def line(self) -> str:
        return json.dumps({name: value for name, value in vars(self).items() if value not in ("", None)})


def seeds(campaign: str) -> Iterator[str]:
    """Of the schedules of a campaign; a schedule's own seed, which has a dash, is the only one."""
    if "-" in campaign:
        yield campaign
        return
    number = 0
    while True:
        yield f"{campaign}-{number}"
        number += 1
