"""The versions that the image can be built with, as files; `python -m tests.cluster.images.versions` builds them."""

import re
from pathlib import Path

import pytest

from tests.cluster.images.versions import named_versions

ROOT = Path(__file__).parents[2]
FILES = [*sorted(ROOT.glob("constraints*.txt")), ROOT / "tests/constraints.txt"]
OF_TORCH = {file.stem.removeprefix("constraints-torch-"): file for file in ROOT.glob("constraints-torch-*.txt")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def pins(file: Path) -> dict[str, list[str]]:
    """The hashes of every package, by name and version."""
    text = re.sub("^#.*\n", "", file.read_text(), flags=re.MULTILINE)
    rows = [row.split() for row in text.replace("\\\n", "").splitlines()]
    return {package: hashes for package, *hashes in rows}


def test_readme_names_the_versions_that_there_are() -> None:
    named = named_versions()
    assert set(named) == set(OF_TORCH)
    assert f"\nARG TORCH_VERSION={named[0]}\n" in DOCKERFILE
    for version, file in OF_TORCH.items():
        assert f"torch=={version}" in pins(file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_that_is_installed_is_known_by_its_hash(file: Path) -> None:
    for package, hashes in pins(file).items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", package)
        assert hashes, package
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", hash_) for hash_ in hashes), package
    assert "://" not in file.read_text()


@pytest.mark.parametrize("version", OF_TORCH)
def test_no_package_is_pinned_twice(version: str) -> None:
    files = (ROOT / "constraints.txt", ROOT / "tests/constraints.txt", OF_TORCH[version])
    names = [pin.partition("==")[0] for file in files for pin in pins(file)]
    assert len(names) == len(set(names))


def test_base_image_is_named_by_its_digest() -> None:
    assert re.search(r"^ARG BASE_IMAGE=python:\S+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE_IMAGE}", "dependencies", "dependencies"]
