"""Artifacts in a folder."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from jobs.artifacts.base import Artifacts, T, disk_errors


class FolderArtifacts(Artifacts):
    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:
        return str(self.root)

    def under(self, prefix: str) -> "FolderArtifacts":
        return FolderArtifacts(self.path(prefix))

    def path(self, key: str) -> Path:
        """The file of an object, whether it exists or not.

        Raises:
            ValueError: it would be outside the folder.

        """
        if PurePosixPath(key).is_absolute() or ".." in PurePosixPath(key).parts:
            raise ValueError(f"{key}: not below {self.root}")
        return self.root / key

    def exists(self, key: str) -> bool:
        with disk_errors(self.root):
            return self.path(key).is_file()

    def listing(self, prefix: str = "") -> list[str]:
        with disk_errors(self.root):
            files = (path for path in self.path(prefix).rglob("*") if path.is_file() and ".partial-" not in path.name)
            return sorted(path.relative_to(self.root).as_posix() for path in files)

    def write(self, key: str, write: Callable[[Path], object]) -> None:
        target = self.path(key)
        partial = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
        with disk_errors(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                write(partial)
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                partial.replace(target)
                _sync(target.parent)
            finally:
                partial.unlink(missing_ok=True)

    def read(self, key: str, read: Callable[[Path], T]) -> T:
        path = self.path(key)
        with disk_errors(self.root):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: not there")
            return read(path)

    def remove(self, key: str) -> None:
        with disk_errors(self.root):
            self.path(key).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Makes sure that a file's new name is on the disk before anything is written that relies on it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
