"""Image files in folders, a folder for each class."""

from pathlib import Path

import torch
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from resnet_core.data.images import Images, RawDataset

# What Pillow raises for files that are no images or are damaged; it depends on the format.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, NotImplementedError, Image.DecompressionBombError)


def read_image_folder(path: Path, size: int) -> RawDataset:
    """`path/train/<class>/…` and `path/test/<class>/…` as RGB of `size` x `size` pixels.

    The shorter side is resized (bilinear, antialiased), the longer one cropped in the middle.

    Raises:
        ValueError: a folder is missing or empty, train and test have different classes, or a file is no image.

    """
    for part in ("train", "test"):
        if not (path / part).is_dir():
            raise ValueError(f"data.path={path}: no folder {part}/ there, with a folder for each class")
    classes = _class_names(path / "train")
    differing = ", ".join(sorted(set(classes) ^ set(_class_names(path / "test"))))
    if differing:
        raise ValueError(f"data.path={path}: train/ and test/ have different class folders; in one alone: {differing}")
    if len(classes) < 2:
        raise ValueError(f"data.path={path / 'train'}: {len(classes)} class folders, at least 2 expected")
    train, test = (_read_part(path / part, classes, size) for part in ("train", "test"))
    return RawDataset(path.resolve().name, classes, train, test)


def _class_names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(child.name for child in folder.iterdir() if child.is_dir()))


def _read_part(folder: Path, classes: tuple[str, ...], size: int) -> Images:
    images, labels = [], []
    for label, name in enumerate(classes):
        files = image_files(folder / name)
        if not files:
            raise ValueError(f"data.path={folder / name}: no image there ({', '.join(IMG_EXTENSIONS)})")
        try:
            images += [read_image(file, size) for file in files]
        except ValueError as error:
            raise ValueError(f"data.path={error}") from None
        labels += [label] * len(files)
    return Images(torch.stack(images), torch.tensor(labels))


def image_files(folder: Path) -> list[Path]:
    """The files in a folder and its subfolders that have the suffix of an image, sorted."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMG_EXTENSIONS)


def read_image(file: Path, size: int) -> torch.Tensor:
    """The image `(3, size, size) uint8`: RGB, the shorter side resized (bilinear, antialiased), the longer one cropped.

    Raises:
        ValueError: the file cannot be read, or is no image.

    """
    try:
        with Image.open(file) as image:
            pixels = T.pil_to_tensor(image.convert("RGB"))
    except UNREADABLE as error:
        raise ValueError(f"{file}: not an image: {error}") from None
    resized = T.resize(pixels, [size], interpolation=InterpolationMode.BILINEAR, antialias=True)
    cropped: torch.Tensor = T.center_crop(resized, [size, size])
    return cropped
