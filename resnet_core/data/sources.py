"""Reads a data set by its name."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from resnet_core.config import DataConfig
from resnet_core.data.images import Images, RawDataset
from resnet_core.data.split import split

CACHE = Path("~/.cache/resnet-sweep")  # for downloads
DIGITS_TEST_FRACTION, DIGITS_TEST_SEED = 0.2, 0  # the test images of digits are the same in every experiment


def read_source(config: DataConfig, cache: Path = CACHE) -> RawDataset:
    """The whole data set that `config` names, neither limited nor split. Downloads are kept in `cache`.

    Raises:
        ValueError: the folder is missing or holds something else, a file is damaged, or a download fails.

    """
    if config.source == "digits":
        dataset = _read_digits()
    elif config.source == "imagefolder":
        from resnet_core.data.image_folder import read_image_folder  # noqa: PLC0415 - imports torchvision, too

        assert config.path is not None
        dataset = read_image_folder(_expanded(Path(config.path)), config.image_size, config.test)
    else:
        from resnet_core.data import cifar  # noqa: PLC0415 - imports torchvision, which takes seconds

        layout = cifar.LAYOUTS[config.source]
        if config.path is None:
            dataset = cifar.download(layout, _expanded(cache))
        else:
            dataset = cifar.read_folder(layout, _expanded(Path(config.path)))
    if config.title is None:
        return dataset
    return RawDataset(config.title, dataset.classes, dataset.train, dataset.test)


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"data.path={path}: {path.parts[0]} is no home directory here") from None


def _read_digits() -> RawDataset:
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels of 0 to 16, enlarged to 32x32 RGB."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second to import

    bunch = load_digits()
    grey = torch.from_numpy(bunch.images.astype(np.float32))[:, None] * (255 / 16)
    enlarged = F.interpolate(grey, size=(32, 32), mode="bilinear", align_corners=False)
    images = Images(
        enlarged.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous(),
        torch.from_numpy(bunch.target.astype(np.int64)),
    )
    train, test = split(images, DIGITS_TEST_FRACTION, DIGITS_TEST_SEED)
    return RawDataset("scikit-learn digits", tuple(str(name) for name in bunch.target_names), train, test)
