import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from PIL import Image

from resnet_core.config import DataConfig
from resnet_core.data import RawDataset, read_source
from resnet_core.data.image_file import shown
from tests.support.image_folders import Folder, folders


def read(folder: Path, size: int = 32) -> RawDataset:
    return read_source(DataConfig(source="imagefolder", path=str(folder), image_size=size))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part, count in (("train", 4), ("test", 2)):
        for shade, name in enumerate(("cats", "dogs")):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                picture = Image.new("RGB", (60, 40), (shade * 200, number, 9))
                picture.save(tmp_path / part / name / f"{number}.png")
    return tmp_path


def test_images_are_resized_and_labelled_by_folder(folder: Path) -> None:
    dataset = read(folder, 24)
    assert dataset.classes == ("cats", "dogs")
    assert dataset.train.images.shape == (8, 3, 24, 24)
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 4
    assert dataset.train.images[5, :, 0, 0].tolist() == [200, 1, 9]


def test_images_go_by_their_files(folder: Path) -> None:
    folder.joinpath("test/dogs/1.png").rename(folder / "test/dogs/a\nb.png")
    assert read(folder).test.files == ("test/cats/0.png", "test/cats/1.png", "test/dogs/0.png", r"test/dogs/a\nb.png")


def test_classes_are_in_the_order_of_code_points(folder: Path) -> None:
    for part in ("train", "test"):
        for name in ("Dogs", "éclairs", "10", "9", "x.jpg"):
            (folder / part / name).mkdir()
            Image.new("RGB", (8, 8)).save(folder / part / name / "0.png")
    assert read(folder).classes == ("10", "9", "Dogs", "cats", "dogs", "x.jpg", "éclairs")


def test_linked_class_is_read(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    (folder / "train/dogs").rename(elsewhere)
    (folder / "train/dogs").symlink_to(elsewhere)
    assert read(folder).train.labels.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(("link", "target"), [("train/wolves", "dogs"), ("test/cats/more", "../../train/cats")])
def test_folder_in_two_places_is_refused(folder: Path, link: str, target: str) -> None:
    """Its images would have two labels, or be trained on and tested."""
    (folder / link).symlink_to(target)
    with pytest.raises(ValueError, match=r"^data\.path=/.*: the same folder as /.*; each is taken once$"):
        read(folder)


def test_hidden_folder_is_no_class(folder: Path) -> None:
    (folder / "train/.ipynb_checkpoints").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "train/.ipynb_checkpoints/0.png")
    (folder / "test/cats/._0.png").write_bytes(b"\0\5\x16\7")
    assert read(folder).classes == ("cats", "dogs")


def test_image_that_cannot_be_read_is_refused_by_name(folder: Path) -> None:
    (folder / "test/dogs/1.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"^data\.path=/.*test/dogs/1\.png: not an image \(JPEG, "):
        read(folder)


def test_class_without_an_image_is_refused_by_name(folder: Path) -> None:
    for file in (folder / "test/cats").iterdir():
        file.rename(file.with_suffix(".txt"))
    with pytest.raises(ValueError, match=r"^data\.path=/.*test/cats: no image there \(\.jpg, "):
        read(folder)


def test_different_classes_in_train_and_test_are_refused(folder: Path) -> None:
    (folder / "test/cats").rename(folder / "test/li\nons")
    with pytest.raises(ValueError, match=r"different class folders; in one alone: cats, li\\nons$"):
        read(folder)


def test_single_class_is_refused(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part / "cats").rename(folder / part / ".cats")
    with pytest.raises(ValueError, match=r"^data\.path=/.*/train: 1 class folders, at least 2 expected$"):
        read(folder)


def test_folder_that_may_not_be_read_is_refused(closed: Path) -> None:
    with pytest.raises(ValueError, match=rf"^data\.path={closed}/folder: Permission denied$"):
        read(closed / "folder")


def test_missing_part_is_refused(folder: Path) -> None:
    (folder / "test").rename(folder / "validation")
    with pytest.raises(ValueError, match=r"^data\.path=/.*: no folder test/ there; data\.test=0\.2 sets a fifth "):
        read(folder)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(drawn=folders(images=1))
def test_any_folder_becomes_its_images_or_is_refused_by_the_name_of_what_is_wrong(drawn: Folder) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        drawn.make(root)
        reasons = drawn.refused(root)
        try:
            dataset = read(root, 12)
        except ValueError as error:
            line = str(error)
        else:
            assert not reasons
            assert dataset.classes == drawn.classes
            for part, images in (("train", dataset.train), ("test", dataset.test)):
                assert images.labels.tolist() == drawn.labels(part)
                assert (images.images.shape[1:], images.images.dtype) == ((3, 12, 12), torch.uint8)
                shades = torch.tensor([drawn.shade(label) for label in drawn.labels(part)])
                assert torch.equal(images.images.int(), shades[:, None, None, None].expand(-1, 3, 12, 12))
            return
    assert line.isprintable()
    assert line.startswith(tuple(f"data.path={shown(reason)}: " for reason in reasons))


def set_aside(folder: Path, fraction: float | None = 0.25) -> RawDataset:
    return read_source(DataConfig(source="imagefolder", path=str(folder), image_size=8, test=fraction))


def test_part_of_each_class_is_set_aside_where_there_is_no_test_part(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(folder / "test")
    caplog.set_level("INFO")
    dataset = set_aside(folder)
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test.labels.tolist() == [0, 1]
    assert caplog.messages == ["no test part: 2 of 8 images are set aside for the test"]
    pixels = torch.cat((dataset.train.images, dataset.test.images))[:, :2, 0, 0].tolist()
    assert sorted(pixels) == [[shade, number] for shade in (0, 200) for number in range(4)]  # each image once
    classes = {0: "cats", 200: "dogs"}
    names = [f"train/{classes[shade]}/{number}.png" for shade, number in pixels]
    assert [*(dataset.train.files or ()), *(dataset.test.files or ())] == names
    assert torch.equal(set_aside(folder).test.images, dataset.test.images)


def test_classes_may_lie_in_the_folder_itself(folder: Path) -> None:
    assert torch.equal(set_aside(folder / "train").train.images, set_aside_of_train(folder).train.images)


def set_aside_of_train(folder: Path) -> RawDataset:
    shutil.rmtree(folder / "test")
    return set_aside(folder)


def test_test_part_is_neither_missing_nor_there_twice(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^data\.path=/.*: has a folder test/; data\.test has to be null$"):
        set_aside(folder)
    shutil.rmtree(folder / "test")
    with pytest.raises(ValueError, match=r"^data\.path=/.*: no folder test/ there; data\.test=0\.2 sets a fifth of"):
        set_aside(folder, None)
    for number in range(2):
        (folder / f"train/dogs/{number}.png").unlink()
    with pytest.raises(ValueError, match=r": class dogs has 2 images, 3 needed: one to train on, one to validate, one"):
        set_aside(folder)
