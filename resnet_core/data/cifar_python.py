"""The official Python layout of CIFAR-10 and CIFAR-100: dictionaries that were pickled by Python 2.

Nothing is unpickled. A pickle is a program, and of its instructions only those count here that give a text or a number.
"""

import hashlib
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

# The keys of the dictionaries: what follows one, up to the next, is its value.
PIXELS, CLASSES, LABELS = "data", ("label_names", "fine_label_names"), ("labels", "fine_labels")
KEYS = {
    PIXELS,
    *CLASSES,
    *LABELS,
    "batch_label",
    "coarse_label_names",
    "coarse_labels",
    "filenames",
    "num_cases_per_batch",
    "num_vis",
}
KINDS = (["int"], ["str"], ["bytes"], ["bytes_or_str"])  # as pickletools calls what an instruction gives


def has_official_files(official: type[Any], folder: Path) -> bool:
    """Whether all files of a class of `torchvision.datasets` are there and have the checksums that it names."""
    listed = [*official.train_list, *official.test_list, (official.meta["filename"], official.meta["md5"])]
    return all((folder / name).is_file() and _md5(folder / name) == md5 for name, md5 in listed)


def read_class_names(file: Path) -> tuple[str, ...]:
    return tuple(_first(_values(file), CLASSES))


def read_batch(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels `(rows, 3, 32, 32) uint8` and labels `(rows,)` of one file."""
    values = _values(file)
    labels = np.array(_first(values, LABELS))
    pixels = max((value for value in values[PIXELS] if not isinstance(value, int)), key=len)
    raw = pixels.encode("latin-1") if isinstance(pixels, str) else pixels  # Python 2 had one type for both
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(labels), 3, 32, 32), labels


def _values(file: Path) -> dict[str, list[Any]]:
    """By key, the texts and numbers of its value in their order, those that describe an array included."""
    values: dict[str, list[Any]] = {}
    value: list[Any] = []
    for instruction, argument, _position in pickletools.genops(file.read_bytes()):
        if [kind.name for kind in instruction.stack_after] not in KINDS:
            continue
        if argument in KEYS:
            value = values.setdefault(argument, [])
        else:
            value.append(argument)
    return values


def _first(values: dict[str, list[Any]], keys: tuple[str, ...]) -> list[Any]:
    return next(values[key] for key in keys if key in values)


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
