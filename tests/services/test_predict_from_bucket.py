"""A model in a bucket."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.cli.main import main
from tests.support.bucket_server import Bucket


@pytest.fixture
def result(bucket: Bucket, published: FolderArtifacts, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a study whose model went out."""
    study = bucket.artifacts().under("quick")
    for key in published.listing("model"):
        study.write(key, partial(shutil.copyfile, published.path(key)))
    for name, value in bucket.settings().items():
        monkeypatch.setenv(name.upper(), value)
    return f"{bucket.url}/quick"


def test_model_in_a_bucket_predicts_as_in_a_folder(
    result: str, published: FolderArtifacts, digit_files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images = str(digit_files[0].parent)
    outputs = []
    for model in (str(published.root), result, f"{result}/model"):
        assert main(["predict", model, images]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0].count("\n") == 12
    assert outputs[1] == outputs[2] == outputs[0]


def test_bucket_without_a_model_is_named(
    result: str, bucket: Bucket, digit_files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", f"{bucket.url}/other", str(digit_files[0])]) == 1
    assert capsys.readouterr().err.startswith(f"resnet-sweep: {bucket.url}/other at http")
    assert main(["predict", f"s3://{bucket.name}-other/quick", str(digit_files[0])]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "NoSuchBucket" in line or "not a model" in line
