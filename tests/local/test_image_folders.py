"""Image folders from the command line: what is refused leaves nothing behind, and a study keeps its images."""

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from PIL import Image

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.dataset_record import read_dataset
from jobs.cli.main import main
from resnet_core.data import load
from resnet_core.data.image_file import shown
from tests.support.image_folders import Folder, folders


def prepared(folder: Path, run: Path) -> tuple[int, str]:
    """The exit code of `prepare` for the images in a folder, and what it prints."""
    overrides = [f"data={{source: imagefolder, path: {folder}}}", "training.batchSize=2", "searchSpace={}"]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(printed):
        patch.setenv("DATABASE_URL", f"sqlite:///{run}/study.db")
        patch.setenv("ARTIFACTS_URL", str(run))
        code = main(["prepare", "--preset=quick", *(f"--set={override}" for override in overrides)])
    return code, printed.getvalue().removesuffix("\n")


@settings(max_examples=12, derandomize=True, deadline=None)
@given(drawn=folders(images=2))
def test_any_folder_is_prepared_or_refused_in_one_line_before_anything_is_written(drawn: Folder) -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as run:
        drawn.make(Path(folder))
        code, printed = prepared(Path(folder), Path(run))
        reasons = drawn.refused(Path(folder))
        if reasons:
            assert code == 78
            assert printed.isprintable()
            assert printed.startswith(tuple(f"resnet-sweep: data.path={shown(reason)}: " for reason in reasons))
            assert list(Path(run).iterdir()) == []
        else:
            assert code == 0, printed
            artifacts = FolderArtifacts(Path(run))
            stored = read_dataset(artifacts, "quick")
            assert stored.classes == drawn.classes
            for part, record in (("train", stored.train), ("test", stored.test)):
                images = artifacts.read(record.key, load)
                assert images.labels.tolist() == drawn.labels(part)
                assert images.images.shape == (record.images, 3, 32, 32)


def test_study_never_gets_other_images(tmp_path: Path) -> None:
    folder, run = tmp_path / "images", tmp_path / "run"
    for part in ("train", "test"):
        for label, name in enumerate(("cats", "dogs")):
            (folder / part / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (8, 8), (label, number, 0)).save(folder / part / name / f"{number}.png")
    assert prepared(folder, run)[0] == 0
    record = run / "quick/dataset.json"
    before = record.read_text()
    shutil.rmtree(run / "datasets")
    Image.new("RGB", (8, 8), "blue").save(folder / "train/dogs/3.png")
    code, printed = prepared(folder, run)
    assert code == 78
    assert printed == (
        "resnet-sweep: data.source=imagefolder: not the images that study quick was prepared with: the files were "
        "changed, or this version reads them otherwise; choose another study.name"
    )
    assert record.read_text() == before
    assert not (run / "datasets").exists()
    Image.new("RGB", (8, 8), (1, 3, 0)).save(folder / "train/dogs/3.png")
    assert prepared(folder, run)[0] == 0
    assert record.read_text() == before
    assert len(list((run / "datasets").iterdir())) == 2
