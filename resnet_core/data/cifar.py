"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their official layouts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from torchvision import datasets
from torchvision.datasets.utils import download_and_extract_archive

from resnet_core.data.cifar_python import has_official_files, read_batch, read_class_names
from resnet_core.data.images import Images, RawDataset

PIXELS = 3 * 32 * 32  # a row holds red, green and blue planes of 32x32 bytes, after its label bytes


@dataclass(frozen=True)
class Layout:
    """The files of a data set. A row begins with `label_bytes` bytes, of which the last is the class."""

    title: str
    classes: int
    label_bytes: int
    rows: int  # in each file of the binary layout
    binary_folder: str
    train_files: tuple[str, ...]
    test_file: str
    names_file: str
    python_folder: str
    torchvision: type[Any]


LAYOUTS = {
    "cifar10": Layout(
        title="CIFAR-10",
        classes=10,
        label_bytes=1,
        rows=10_000,
        binary_folder="cifar-10-batches-bin",
        train_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test_file="test_batch.bin",
        names_file="batches.meta.txt",
        python_folder="cifar-10-batches-py",
        torchvision=datasets.CIFAR10,
    ),
    "cifar100": Layout(
        title="CIFAR-100",
        classes=100,
        label_bytes=2,
        rows=50_000,
        binary_folder="cifar-100-binary",
        train_files=("train.bin",),
        test_file="test.bin",
        names_file="fine_label_names.txt",
        python_folder="cifar-100-python",
        torchvision=datasets.CIFAR100,
    ),
}
TEST_ROWS = 10_000


def read_folder(layout: Layout, path: Path) -> RawDataset:
    """The data set in `path`, which contains one of the official folders or is one of them.

    Files of the Python layout must have the official checksums. For the binary layout there are none, so the title of
    the data set says that it is not verified.

    Raises:
        ValueError: there is no such folder, or a file is missing, cut short or damaged.

    """
    if (path / layout.binary_folder).is_dir():
        return _read_binary(layout, path / layout.binary_folder)
    if any((path / name).exists() for name in (*layout.train_files, layout.test_file)):
        return _read_binary(layout, path)
    if (path / layout.python_folder).is_dir():
        return _read_python(layout, path / layout.python_folder)
    if path.is_dir() and path.absolute().name == layout.python_folder:
        return _read_python(layout, path)
    raise ValueError(f"data.path={path}: no {layout.binary_folder} or {layout.python_folder} there")


def download(layout: Layout, cache: Path) -> RawDataset:
    """The official archive, which torchvision downloads to `cache` unless it is there.

    Raises:
        ValueError: the archive cannot be downloaded or stored.

    """
    official = layout.torchvision
    try:
        if not has_official_files(official, cache / layout.python_folder):
            download_and_extract_archive(official.url, str(cache), filename=official.filename, md5=official.tgz_md5)
    except (URLError, OSError, RuntimeError) as error:
        raise ValueError(
            f"data.path=null: {layout.title} could not be downloaded ({error}); "
            f"set it to a folder that holds {layout.binary_folder} or {layout.python_folder}"
        ) from None
    return _read_python(layout, cache / layout.python_folder)


def _read_binary(layout: Layout, folder: Path) -> RawDataset:
    train = [_read_rows(layout, folder / name, layout.rows) for name in layout.train_files]
    test = _read_rows(layout, folder / layout.test_file, TEST_ROWS)
    names_file = folder / layout.names_file
    if not names_file.exists():
        raise ValueError(f"data.path={folder}: {layout.names_file} is missing")
    try:
        names = tuple(names_file.read_text(encoding="utf-8").split())
    except UnicodeDecodeError:
        raise ValueError(f"data.path={names_file}: not a text in UTF-8") from None
    if len(names) != layout.classes:
        raise ValueError(f"data.path={names_file}: {len(names)} class names, {layout.classes} expected")
    return RawDataset(f"{layout.title} (binary folder, not verified)", names, _images(train), _images([test]))


def _read_rows(layout: Layout, file: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels `(rows, 3, 32, 32) uint8` and labels `(rows,)` of one file."""
    if not file.exists():
        raise ValueError(f"data.path={file.parent}: {file.name} is missing")
    row_bytes = layout.label_bytes + PIXELS
    if file.stat().st_size != rows * row_bytes:
        raise ValueError(
            f"data.path={file}: {file.stat().st_size:,} bytes, {rows * row_bytes:,} expected "
            f"({rows:,} rows of {row_bytes:,})"
        )
    table = np.fromfile(file, dtype=np.uint8).reshape(rows, row_bytes)
    labels = table[:, layout.label_bytes - 1]
    if labels.max() >= layout.classes:
        raise ValueError(f"data.path={file}: a label of {labels.max()}, at most {layout.classes - 1} expected")
    return table[:, layout.label_bytes :].reshape(rows, 3, 32, 32), labels


def _read_python(layout: Layout, folder: Path) -> RawDataset:
    official = layout.torchvision
    if not has_official_files(official, folder):
        raise ValueError(f"data.path={folder}: a file is missing or its checksum is not the official one")
    train, test = (
        _images([read_batch(folder / name) for name, _ in listed])
        for listed in (official.train_list, official.test_list)
    )
    return RawDataset(layout.title, read_class_names(folder / official.meta["filename"]), train, test)


def _images(parts: list[tuple[np.ndarray, np.ndarray]]) -> Images:
    pixels = np.ascontiguousarray(np.concatenate([pixels for pixels, _ in parts]))
    labels = np.concatenate([labels for _, labels in parts]).astype(np.int64)
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels))
