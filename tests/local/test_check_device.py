"""`check --device` as a user runs it, on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.patience import PATIENCE_SECONDS

ROWS = [
    "driver",
    "torch",
    "device",
    "memory",
    "matrix product",
    "convolution",
    "training step",
    "captured step",
    "padded widths",
    "precision",
    "shared",
    "ranks",
]
PLACE = ("DATABASE_URL", "ARTIFACTS_URL")


def check(device: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name not in PLACE} | {"THREADS": "1"}
    command = [sys.executable, "-m", "jobs", "check", "--device", device]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


def rows_of(done: "subprocess.CompletedProcess[str]") -> dict[str, tuple[str, str]]:
    """State and text of each row, by its name."""
    lines = [(line[:6].strip(), line[8:22].strip(), line[24:]) for line in done.stdout.splitlines()]
    return {name: (state, text) for state, name, text in lines}


def test_cpu_is_checked_without_database_and_bucket(tmp_path: Path) -> None:
    done = check("cpu", tmp_path)
    rows = rows_of(done)
    assert list(rows) == ROWS, done.stderr
    assert done.stderr == ""
    states = {name: state for name, (state, _) in rows.items()}
    assert states["driver"] == states["captured step"] == states["padded widths"] == states["shared"] == "–"
    measured = [name for name in ROWS if states[name] != "–" and name not in ("memory", "precision")]
    assert {name: states[name] for name in measured} == dict.fromkeys(measured, "ok"), done.stdout
    assert done.returncode == ("failed" in states.values())
    assert "GFLOP/s in fp32" in rows["convolution"][1]
    assert rows["ranks"][1].startswith("2 processes add up 20 MB in ")
    assert list(tmp_path.iterdir()) == []


def test_device_that_is_not_there_ends_the_check_with_advice(tmp_path: Path) -> None:
    done = check("cuda:99", tmp_path)
    rows = rows_of(done)
    assert done.returncode == 1
    assert list(rows) == ["driver", "torch", "device"]
    state, text = rows["device"]
    assert state == "failed"
    assert text.startswith("cuda:99: this machine has ")
    assert text.endswith("; see the rows above, and whether nvidia-smi lists the GPU")


def test_word_that_names_no_device_is_refused(tmp_path: Path) -> None:
    done = check("gpu", tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("resnet-sweep: DEVICE=gpu: ")
