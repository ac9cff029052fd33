"""Image files in folders, a folder for each class."""

from pathlib import Path

import torch

from resnet_core.data.image_file import SUFFIXES, read_image, shown
from resnet_core.data.images import Images, RawDataset
from resnet_core.data.listing import Listing


def read_image_folder(path: Path, size: int) -> RawDataset:
    """`path/train/<class>/…` and `path/test/<class>/…` as `read_image` reads them, of `size` x `size` pixels.

    A class is called as its folder. Its label is the place of that name among all, sorted by code points, in which
    upper and lower case differ.

    Raises:
        ValueError: a folder is missing or empty, train and test have different classes, or a file is no image.

    """
    try:
        train, test = _find(path)
        return RawDataset(path.resolve().name, tuple(train), _read(train, size), _read(test, size))
    except ValueError as error:
        raise ValueError(f"data.path={error}") from None
    except OSError as error:
        raise ValueError(f"data.path={shown(path)}: {error.strerror}") from None


def _find(path: Path) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """The image files of each class for training and for the test."""
    for part in ("train", "test"):
        if not (path / part).is_dir():
            raise ValueError(f"{shown(path)}: no folder {part}/ there, with a folder for each class")
    listing = Listing()
    train, test = (
        {folder.name: listing.images(folder) for folder in listing.class_folders(path / part)}
        for part in ("train", "test")
    )
    listing.log_left_out(path)
    differing = ", ".join(shown(Path(name)) for name in sorted(train.keys() ^ test.keys()))
    if differing:
        raise ValueError(f"{shown(path)}: train/ and test/ have different class folders; in one alone: {differing}")
    if len(train) < 2:
        raise ValueError(f"{shown(path / 'train')}: {len(train)} class folders, at least 2 expected")
    for part, classes in (("train", train), ("test", test)):
        for name, files in classes.items():
            if not files:
                raise ValueError(f"{shown(path / part / name)}: no image there ({', '.join(SUFFIXES)})")
    return train, test


def _read(classes: dict[str, list[Path]], size: int) -> Images:
    labelled = [(label, file) for label, files in enumerate(classes.values()) for file in files]
    images = torch.empty((len(labelled), 3, size, size), dtype=torch.uint8)
    for row, (_, file) in enumerate(labelled):
        images[row] = read_image(file, size)
    return Images(images, torch.tensor([label for label, _ in labelled]))
