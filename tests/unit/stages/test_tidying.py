"""Checkpoints of settled trials are removed, and not by every worker of many: each time takes the names of all objects."""

import random
from pathlib import Path

import pytest

from jobs.queue import claims
from tests.support import reporting
from tests.support.databases import opened
from tests.support.sweeps import prepared, work

LEASE_SECONDS = 60


def test_the_last_worker_tidies_and_one_of_several_in_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, settings = prepared(tmp_path, 4)
    database = opened(settings.database_url)
    held = database.write(lambda connection: claims.claim(connection, sweep.study_name, "other", LEASE_SECONDS))
    assert held is not None

    def checkpoints() -> int:
        return sum("/checkpoint-" in key for key in reporting.artifacts(settings, sweep).listing("trials"))

    monkeypatch.setattr(random, "random", lambda: 0.6)  # of two workers this is the other's turn
    work(sweep, settings)
    assert checkpoints() == 3
    monkeypatch.setattr(random, "random", lambda: 0.4)
    work(sweep, settings)  # nothing is left to claim
    assert checkpoints() == 1  # of the best one
    monkeypatch.setattr(random, "random", lambda: 0.999)
    database.write(lambda connection: claims.give_back(connection, held))
    work(sweep, settings)
    assert checkpoints() == 1
    database.close()
