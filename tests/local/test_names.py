"""Any name of a folder of images: either `prepare` refuses it in a line, or it is kept as it is."""

import os
import tempfile
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.dataset_record import read_dataset
from jobs.cli.main import main
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings, read_settings
from jobs.stages import prepare
from resnet_core.shown_text import is_name, is_shown, visible
from tests.local.conftest import tiny
from tests.support.hostile import texts

SMALL = ("data.limit=null", "data.limitTest=null", "data.imageSize=8", "data.validation=0.5", "training.batchSize=2")


def is_file_name(text: str) -> bool:
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return 0 < len(encoded) < 200 and not {0, ord("/")} & set(encoded) and not text.startswith(".")  # which is left out


names = texts.filter(is_file_name).map(lambda text: os.fsdecode(os.fsencode(text)))


def images_of(folder: Path, *classes: str) -> Path:
    for part in ("train", "test"):
        for index, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (8, 8), (index, number, 0)).save(folder / part / name / f"{number}.png")
    return folder


def prepared(root: Path, images: Path) -> tuple[str, ...]:
    """The classes of the data set that is stored below `root`."""
    place = read_settings(database_url=f"sqlite:///{root}/study.db", artifacts_url=str(root))
    experiment = tiny("data.source=imagefolder", "data.path=images", *SMALL)
    data = experiment.data.model_copy(update={"path": str(images)})
    prepare.run(experiment.model_copy(update={"data": data}), place, FolderArtifacts(root))
    return read_dataset(FolderArtifacts(root), "quick").classes


def test_title_that_cannot_be_shown_is_refused(settings: Settings, root: FolderArtifacts) -> None:
    experiment = tiny()
    data = experiment.data.model_copy(update={"title": "digits\u202e"})
    with pytest.raises(ConfigurationError, match=r"^data.title 'digits\\u202e' cannot be shown"):
        prepare.run(experiment.model_copy(update={"data": data}), settings, root)
    assert list(root.root.iterdir()) == []


@hypothesis.settings(max_examples=12, deadline=None, derandomize=True)
@given(title=st.just("images") | names, name=names)
def test_folder_of_any_name_is_refused_in_a_line_or_stored_as_it_is(title: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        images = images_of(Path(folder) / "in" / title, name, "another class")
        if is_name(name) and is_name(title):
            assert prepared(root, images) == tuple(sorted([name, "another class"]))
            return
        with pytest.raises(ConfigurationError) as raised:
            prepared(root, images)
        (line,) = str(raised.value).splitlines()
        assert is_shown(line)
        assert f"'{visible(name if is_name(title) else title)}' cannot be shown" in line
        assert list(root.iterdir()) == []


def test_command_says_in_a_line_which_name_cannot_be_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = images_of(tmp_path / "images", "cat", "\x1b[31m\ndog")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/study.db")
    monkeypatch.setenv("ARTIFACTS_URL", str(tmp_path / "runs"))
    assert main(["prepare", "--set", "data.source=imagefolder", "--set", f"data.path={images}"]) == 78
    assert capsys.readouterr().err == (
        rf"resnet-sweep: data.path={images}: class '\x1b[31m\ndog' cannot be shown as it is; "
        "printable characters expected\n"
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["images"]
