"""What a data set consists of, found out without decoding its images."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from resnet_core.data import cifar
from resnet_core.data.image_file import FORMATS, shown
from resnet_core.data.image_folder import LEAST_IMAGES, find_classes

MEASURED = 200  # image files, evenly over all, whose size is looked at
CIFAR_IMAGES, CIFAR_TEST_IMAGES, CIFAR_SIDE = 50_000, 10_000, 32


@dataclass(frozen=True)
class Survey:
    """`counts` are the images of each class, without those of the test part, of which there are `test`, or none.

    `side` is the median of the images' shorter sides, in pixels.
    """

    source: str
    path: Path | None
    counts: dict[str, int]
    test: int | None
    side: int

    @property
    def images(self) -> int:
        return sum(self.counts.values())


def survey(source: str | None, path: Path | None) -> Survey:
    """Looks at a folder of images, or at CIFAR, which without a path is downloaded later.

    Args:
        source: `imagefolder`, `cifar10` or `cifar100`; default: what the folder holds.
        path: the folder, which only CIFAR can do without.

    Raises:
        ValueError: the folder is missing or holds something else, or a class has too few images.

    """
    layout = cifar.LAYOUTS.get(source or (path and _cifar_in(path)) or "")
    if layout is None:
        assert path is not None
        return _survey_folder(path)
    source = next(name for name, each in cifar.LAYOUTS.items() if each is layout)
    classes = map(str, range(layout.classes)) if path is None else cifar.read_folder(layout, path).classes
    counts = dict.fromkeys(classes, CIFAR_IMAGES // layout.classes)
    return Survey(source, path, counts, CIFAR_TEST_IMAGES, CIFAR_SIDE)


def _cifar_in(path: Path) -> str | None:
    """The name of the CIFAR data set that is in a folder or is it."""
    for name, layout in cifar.LAYOUTS.items():
        for folder in (layout.binary_folder, layout.python_folder):
            if path.name == folder or (path / folder).is_dir():
                return name
    return None


def _survey_folder(path: Path) -> Survey:
    train, test = find_classes(path)
    least = LEAST_IMAGES if test is None else LEAST_IMAGES - 1
    for name, files in train.items():
        if len(files) < least:
            raise ValueError(f"{shown(path / name)}: {len(files)} images, at least {least} needed of each class")
    files = [file for each in train.values() for file in each]
    measured = files[:: max(len(files) // MEASURED, 1)]
    side = round(statistics.median(_side(file) for file in measured))
    counts = {name: len(each) for name, each in train.items()}
    return Survey("imagefolder", path, counts, None if test is None else sum(map(len, test.values())), side)


def _side(file: Path) -> int:
    try:
        with Image.open(file, formats=list(FORMATS)) as image:
            return min(image.size)
    except Exception:  # as in `read_image`, decoders raise anything
        raise ValueError(f"{shown(file)}: not an image ({', '.join(FORMATS)})") from None
