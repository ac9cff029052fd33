"""Stages as processes with LOG_FORMAT=json: what each line says in words, it says in fields."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from jobs.artifacts import FolderArtifacts
from jobs.experiment.load import dump_experiment
from jobs.queue.connections import connect
from jobs.queue.ledger import read_ledger
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from tests.local.conftest import tiny

FIELDS = ("stage", "study", "worker", "trial", "epoch")


def lines_of(stage: str, config: Path, settings: Settings, study: FolderArtifacts) -> list[dict[str, Any]]:
    """The lines that a stage writes, which are also those that are kept with the results."""
    place = {
        "DATABASE_URL": settings.database_url,
        "ARTIFACTS_URL": settings.artifacts_url,
        "DEVICE": "cpu",
        "LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "jobs", stage, "--config", str(config)]
    done = subprocess.run(command, env={**os.environ, **place}, capture_output=True, text=True, check=True)
    (kept,) = (key for key in study.listing("logs") if key.startswith(f"logs/{stage}-"))
    assert study.read_text(kept) == done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def told(line: dict[str, Any], pattern: str) -> int | None:
    """The number in the message that the pattern's group finds."""
    found = re.search(pattern, line["message"])
    return int(found[1]) if found else None


def test_json_lines_have_study_stage_worker_trial_and_epoch_as_fields(
    settings: Settings, root: FolderArtifacts, tmp_path: Path
) -> None:
    experiment, study = tiny("sweep={trials: 2, epochs: 2}"), root.under("quick")
    prepare.run(experiment, settings, root)
    config = tmp_path / "experiment.yaml"
    config.write_text(dump_experiment(experiment))

    lines = lines_of("sweep", config, settings, study)
    with connect(settings.database_url).connect() as connection:
        (worker,) = {change.owner for change in read_ledger(connection, "quick")} - {None}
    expected: list[dict[str, Any]] = []
    for line in lines:
        trial = told(line, r"^trial (\d+)")
        if line["message"].startswith("training computes in "):  # it follows the line of a trial that begins
            trial = expected[-1]["trial"]
        epoch = told(line, r"^trial \d+ epoch (\d+)/2")
        expected.append({"stage": "sweep", "study": "quick", "worker": worker, "trial": trial, "epoch": epoch})
    assert [{name: line.get(name) for name in FIELDS} for line in lines] == expected
    epochs = [(line["trial"], line["epoch"]) for line in lines if "epoch" in line]
    assert epochs == [(0, 1), (0, 2), (1, 1), (1, 2)]
    begins, computes, complete = (line["message"] for line in lines if line.get("trial") == 1 and "epoch" not in line)
    assert begins.startswith("trial 1 begins: ")
    assert computes.startswith("training computes in ")
    assert complete == "trial 1 complete"

    lines = lines_of("final-train", config, settings, study)
    best = told(lines[0], r"^final training of trial (\d+) ")
    assert [{name: line.get(name) for name in FIELDS} for line in lines] == [
        {
            "stage": "final-train",
            "study": "quick",
            "worker": None,
            "trial": best,
            "epoch": told(line, r"^final training epoch (\d+)/3"),
        }
        for line in lines
    ]
    epochs_told = [line["epoch"] for line in lines if "epoch" in line]
    assert (epochs_told[0], epochs_told[-1]) == (1, 3)  # those in between if they take long
