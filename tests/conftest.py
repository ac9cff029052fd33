import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.tiny_run import ARGUMENTS, TinyRun, run_local

SHARED_IMAGES = Path(__file__).parents[2] / "shared/data/make_cifar10.py"


@pytest.fixture(scope="module", autouse=True)
def _threads(request: pytest.FixtureRequest) -> None:
    """One, so that processes of tests run side by side at no loss; two where what is tested is for more than one."""
    torch.set_num_threads(2 if request.path.parent.name == "cpu" else 1)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Of two seeds; not to be changed."""
    runs = tmp_path_factory.mktemp("tiny")
    return TinyRun(runs / "quick", run_local(runs, *ARGUMENTS))


@pytest.fixture(scope="session")
def cifar10_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images in CIFAR-10's binary layout: CIFAR-10 (JPEG q75)."""
    if not SHARED_IMAGES.exists():
        pytest.skip("no CIFAR-10 (JPEG q75) beside the checkout")
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, str(SHARED_IMAGES), "--out", str(folder)], check=True, capture_output=True)
    return folder
