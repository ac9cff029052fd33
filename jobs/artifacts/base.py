"""What every place for artifacts can do."""

import contextlib
import errno
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from jobs.runtime.disk import FULL, room_at
from jobs.runtime.errors import Refused, Unreachable
from resnet_core.validation import parse_json

T = TypeVar("T")

REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


class ArtifactsUnreachable(Unreachable):
    """It may work in a while: the service does not answer, or the disk is full."""


class ArtifactsRefused(Refused):
    """It will not work, however often it is tried: wrong credentials, missing rights, no such bucket."""


class Artifacts(ABC):
    """Objects by key. Keys are written with `/` on every system.

    Every method may raise ArtifactsUnreachable or ArtifactsRefused; `read` raises FileNotFoundError if the object is
    missing.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """The place, as it is shown to a person."""

    @abstractmethod
    def under(self, prefix: str) -> "Artifacts":
        """The objects whose keys begin with the folder `prefix`, by the rest of their keys."""

    @abstractmethod
    def exists(self, key: str) -> bool: ...

    @abstractmethod
    def listing(self, prefix: str = "") -> list[str]:
        """The keys that begin with the folder `prefix`, sorted."""

    @abstractmethod
    def write(self, key: str, write: Callable[[Path], object]) -> None:
        """Has `write` fill a file, which becomes the object; if `write` fails, nothing has changed."""

    @abstractmethod
    def read(self, key: str, read: Callable[[Path], T]) -> T:
        """What `read` makes of the object, which is a local file while it runs."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Removes an object, if it is there."""

    def write_text(self, key: str, text: str) -> None:
        self.write(key, lambda path: path.write_text(text, encoding="utf-8"))

    def read_text(self, key: str) -> str:
        return self.read(key, lambda path: path.read_text(encoding="utf-8"))

    def write_json(self, key: str, value: Any) -> None:
        self.write_text(key, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, key: str) -> Any:
        return parse_json(self.read_text(key))

    def sha256(self, key: str) -> str:
        return self.read(key, file_sha256)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Raises the errors of a file system as ArtifactsUnreachable or ArtifactsRefused.

    They name the file that they are about, or else `place`: what fails in the middle of writing has no name.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        full = error.errno in FULL
        path = Path(os.fsdecode(error.filename)) if error.filename else place
        words = f"{path}: {error.strerror or error}{f', {room_at(path)}' if full else ''}"
        if error.errno in REFUSALS:
            raise ArtifactsRefused(words) from error
        raise ArtifactsUnreachable(words, doubtful=full) from error
