"""Image files in folders, a folder for each class."""

import logging
from pathlib import Path

import torch

from resnet_core.data.image_file import SUFFIXES, read_image, shown
from resnet_core.data.images import Images, RawDataset
from resnet_core.data.listing import Listing
from resnet_core.data.split import split

log = logging.getLogger(__name__)

PARTS = ("train", "test")
LEAST_IMAGES = 3  # of a class, where one is set aside for the test: one to train on, one to validate, one to test
TEST_SEED = 0  # as of `digits`: studies that differ in their seed alone have the same test images

Classes = dict[str, list[Path]]  # the image files of each class


def read_image_folder(path: Path, size: int, test_fraction: float | None = None) -> RawDataset:
    """`path/train/<class>/…` and `path/test/<class>/…` as `read_image` reads them, of `size` x `size` pixels.

    A class is called as its folder. Its label is the place of that name among all, sorted by code points, in which
    upper and lower case differ. Where there is no `test/`, that fraction of each class is set aside as test images;
    the others then lie in `path/train/<class>/…` or `path/<class>/…`.

    Raises:
        ValueError: a folder is missing or empty, train and test have different classes, or a file is no image; there
            are no test images and no fraction, or both.

    """
    try:
        return _read_parts(path, size, test_fraction)
    except ValueError as error:
        raise ValueError(f"data.path={error}") from None
    except OSError as error:
        raise ValueError(f"data.path={shown(path)}: {error.strerror}") from None


def find_classes(path: Path) -> tuple[Classes, Classes | None]:
    """The image files of each class, for training and for the test; None where there is no folder for the test.

    Raises:
        ValueError: a folder is missing or empty, or train and test have different classes.

    """
    train, test = (path / part for part in PARTS)
    if test.is_dir() and not train.is_dir():
        raise ValueError(f"{shown(path)}: no folder train/ there beside test/, with a folder for each class")
    folders = [train, test] if test.is_dir() else [train if train.is_dir() else path]
    listing = Listing()
    parts = [{each.name: listing.images(each) for each in listing.class_folders(folder)} for folder in folders]
    listing.log_left_out(path)
    differing = ", ".join(shown(Path(name)) for name in sorted(parts[0].keys() ^ parts[-1].keys()))
    if differing:
        raise ValueError(f"{shown(path)}: train/ and test/ have different class folders; in one alone: {differing}")
    if len(parts[0]) < 2:
        raise ValueError(f"{shown(folders[0])}: {len(parts[0])} class folders, at least 2 expected")
    for folder, classes in zip(folders, parts, strict=True):
        for name, files in classes.items():
            if not files:
                raise ValueError(f"{shown(folder / name)}: no image there ({', '.join(SUFFIXES)})")
    return parts[0], parts[1] if len(parts) > 1 else None


def _read_parts(path: Path, size: int, test_fraction: float | None) -> RawDataset:
    train, test = find_classes(path)
    if test is None and test_fraction is None:
        raise ValueError(
            f"{shown(path)}: no folder test/ there; data.test=0.2 sets a fifth of each class aside for the test"
        )
    if test is not None and test_fraction is not None:
        raise ValueError(f"{shown(path)}: has a folder test/; data.test has to be null")
    if test_fraction is not None:
        return _set_test_aside(path, train, size, test_fraction)
    assert test is not None
    return RawDataset(path.resolve().name, tuple(train), _read(path, train, size), _read(path, test, size))


def _set_test_aside(path: Path, classes: Classes, size: int, fraction: float) -> RawDataset:
    for name, files in classes.items():
        if len(files) < LEAST_IMAGES:
            raise ValueError(
                f"{shown(path)}: class {shown(Path(name))} has {len(files)} images, {LEAST_IMAGES} needed: one to "
                "train on, one to validate, one to test"
            )
    train, test = split(_read(path, classes, size), fraction, TEST_SEED)
    log.info("no test part: %d of %d images are set aside for the test", len(test), len(train) + len(test))
    return RawDataset(path.resolve().name, tuple(classes), train, test)


def _read(path: Path, classes: Classes, size: int) -> Images:
    labelled = [(label, file) for label, files in enumerate(classes.values()) for file in files]
    images = torch.empty((len(labelled), 3, size, size), dtype=torch.uint8)
    for row, (_, file) in enumerate(labelled):
        images[row] = read_image(file, size)
    files = tuple(shown(file.relative_to(path)) for _, file in labelled)
    return Images(images, torch.tensor([label for label, _ in labelled]), files)
