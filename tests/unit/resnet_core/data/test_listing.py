import logging
import os
from pathlib import Path

import pytest

from resnet_core.data.listing import Listing, image_files


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def found(folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in image_files(folder)]


def test_images_of_all_subfolders_are_found_in_one_order(tmp_path: Path) -> None:
    names = ["B.PNG", "a.jpg", "a/2.tiff", "a/b/1.webp", "b.jpeg/x.gif", "c/é.avif", "c/\udce9.ppm"]
    touch(*(tmp_path / name for name in reversed(names)))
    assert found(tmp_path) == ["B.PNG", "a/2.tiff", "a/b/1.webp", "a.jpg", "b.jpeg/x.gif", "c/é.avif", "c/\udce9.ppm"]


def test_names_that_differ_in_case_are_different_files(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "A.png", tmp_path / "a.PNG")
    assert found(tmp_path) == ["A.png", "a.PNG", "a.png"]


def test_hidden_and_system_names_are_left_out_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hidden = [".ipynb_checkpoints/a.png", "x/__MACOSX/._a.png", "x/._a.jpg", ".DS_Store", "Thumbs.db", "x/desktop.ini"]
    touch(tmp_path / "x/a.png", tmp_path / "x/notes.txt", tmp_path / "README", *(tmp_path / name for name in hidden))
    with caplog.at_level(logging.INFO):
        assert found(tmp_path) == ["x/a.png"]
    (message,) = caplog.messages
    first, second = message.removeprefix(f"{tmp_path}: left out: ").split("), ")
    assert first == "6 hidden or system names (.DS_Store, ._a.jpg, .ipynb_checkpoints, Thumbs.db, __MACOSX, …"
    assert second == "2 files whose names are not those of images (.txt, README)"


def test_nothing_is_told_where_nothing_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "a.png")
    with caplog.at_level(logging.INFO):
        found(tmp_path)
    assert caplog.messages == []


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "far/a.png", tmp_path / "far/deep/b.png", tmp_path / "c.png", tmp_path / "here/own.png")
    (tmp_path / "here/linked").symlink_to(tmp_path / "far")
    (tmp_path / "here/c.png").symlink_to("../c.png")
    assert found(tmp_path / "here") == ["c.png", "linked/a.png", "linked/deep/b.png", "own.png"]


@pytest.mark.parametrize(("link", "target"), [("a/b/up", ".."), ("a/b/self", "."), ("a/b/top", "../.."), ("z", "a")])
def test_link_to_a_folder_that_is_listed_already_is_refused(tmp_path: Path, link: str, target: str) -> None:
    touch(tmp_path / "a/b/x.png")
    (tmp_path / link).symlink_to(target)
    with pytest.raises(ValueError, match=r": the same folder as .*; each is taken once$"):
        image_files(tmp_path)


@pytest.mark.parametrize(("link", "target"), [("x/gone", "nowhere"), ("x/gone.png", "nowhere.png"), ("x/me", "me")])
def test_link_that_leads_nowhere_is_refused(tmp_path: Path, link: str, target: str) -> None:
    touch(tmp_path / "x/a.png")
    (tmp_path / link).symlink_to(target)
    with pytest.raises(ValueError, match=f"^{tmp_path / link}: a link that leads nowhere$"):
        image_files(tmp_path)


def test_pipe_with_the_name_of_an_image_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: neither a file nor a folder$"):
        image_files(tmp_path)


def test_folder_that_may_not_be_read_is_refused(closed: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{closed}/folder: Permission denied$"):
        image_files(closed)


def test_images_outside_of_classes_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "b/1.png", tmp_path / "a/1.png", tmp_path / "loose.png", tmp_path / ".git/x.png")
    listing = Listing()
    assert [folder.name for folder in listing.class_folders(tmp_path)] == ["a", "b"]
    with caplog.at_level(logging.INFO):
        listing.log_left_out(tmp_path)
    assert "1 images outside the folders of classes (loose.png)" in caplog.text
