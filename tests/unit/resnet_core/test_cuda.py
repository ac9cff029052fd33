"""The GPU's path without a GPU: what a training launches there, and that it neither transfers anything nor waits.

See tests/support/fake_cuda.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import fake_cuda
from tests.support.fake_cuda.trainings import CASES
from tests.support.missing import missing

MOST_OPERATIONS_A_STEP = 280  # of ResNet-18 with everything on; a graph holds them, so that the host launches one
MOST_OPERATIONS_OF_MUON = 500  # besides; convolutions of one shape share theirs, and here no two shapes are equal
MOST_OPERATIONS_OF_AUGMENTATION = 200  # an epoch of 45,056 images


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each case costs, and one more named `predict`."""
    compiler = shutil.which("cc") or missing("no C compiler, without which there is no backward pass on a fake GPU")
    shim = Path(fake_cuda.__file__).with_name("shim.c")
    library = tmp_path_factory.mktemp("shim") / "libcuda.so.1"  # torch's libraries find it by this name
    subprocess.run([compiler, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, shim], check=True)
    command = [sys.executable, "-m", "tests.support.fake_cuda.trainings"]
    process = subprocess.run(
        command, env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert "differs from a plain one" not in process.stderr
    assert process.stderr.count("the training steps are replayed as a CUDA graph") > len(CASES), process.stderr
    rows = [json.loads(line) for line in process.stdout.splitlines()]
    _print_table([row for row in rows if row["case"] != "check"])
    return {row["case"]: row for row in rows}


@pytest.mark.parametrize("case", CASES)
def test_step_is_short_and_moves_and_waits_for_nothing(costs: dict[str, dict[str, Any]], case: str) -> None:
    step = costs[case]["step"]
    most = MOST_OPERATIONS_A_STEP + (MOST_OPERATIONS_OF_MUON if case.endswith("muon") else 0)
    assert 150 < step["operations"] <= most
    assert (step["transfers"], step["waits"]) == (0, 0)


@pytest.mark.parametrize("case", CASES)
def test_epoch_is_augmented_without_waiting(costs: dict[str, dict[str, Any]], case: str) -> None:
    augmentation = costs[case]["augmentation"]
    assert 0 < augmentation["operations"] <= MOST_OPERATIONS_OF_AUGMENTATION
    assert augmentation["transfers"] <= 8  # the order of the images and the random choices
    assert (augmentation["transfers of chunks"], augmentation["waits"]) == (0, 0)


@pytest.mark.parametrize("case", CASES)
def test_epoch_waits_for_its_results_alone(costs: dict[str, dict[str, Any]], case: str) -> None:
    """Loss and accuracy of training and validation: four numbers."""
    assert costs[case]["end of an epoch"]["waits"] == 4


@pytest.mark.parametrize("case", CASES)
def test_checkpoint_lies_in_main_memory(costs: dict[str, dict[str, Any]], case: str) -> None:
    assert costs[case]["checkpoint"] == ["cpu"]


def test_prediction_waits_for_nothing(costs: dict[str, dict[str, Any]]) -> None:
    predicted = costs["predict"]
    assert predicted["operations"] > 100
    assert (predicted["transfers"], predicted["waits"]) == (0, 0)


def test_check_of_a_device_does_what_it_can_there(costs: dict[str, dict[str, Any]]) -> None:
    """Its figures mean nothing, but every row computes what it would on a GPU."""
    rows = costs["check"]["rows"]
    assert {name: state for name, (state, _) in rows.items()} == dict.fromkeys(rows, "ok"), rows
    assert rows["device"][1].startswith("NVIDIA H100 80GB HBM3 (CUDA ")
    assert "captured step" in rows
    assert rows["precision"][1].startswith("auto is bfloat16 (a GPU of compute capability 9.0)")


def _print_table(rows: list[dict[str, Any]]) -> None:
    columns = ("operations", "transfers", "waits")
    print(f"\n{'':24} {'a step':^31} {'an epoch of augmentation':^31} {'the end of an epoch':^31}")
    print(f"{'':24} {' '.join(f'{name:>10}' for name in columns * 3)}")
    for row in rows:
        parts = [row[part] for part in ("step", "augmentation", "end of an epoch") if part in row] or [row]
        print(f"{row['case']:24} {' '.join(f'{part[name]:>10,}' for part in parts for name in columns)}")
