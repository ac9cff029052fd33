"""Artifacts that wait for a service that is away: what has failed is tried again, as long as the patience lasts."""

from collections.abc import Callable
from pathlib import Path

from jobs.artifacts.base import Artifacts, T
from jobs.runtime.retry import Patience


class WaitingArtifacts(Artifacts):
    """Its methods raise OutageTooLong in place of ArtifactsUnreachable."""

    def __init__(self, artifacts: Artifacts, patience: Patience) -> None:
        self._artifacts, self._patience = artifacts, patience

    @property
    def location(self) -> str:
        return self._artifacts.location

    def waiting(self, patience: Patience) -> "WaitingArtifacts":
        return WaitingArtifacts(self._artifacts, patience)

    def under(self, prefix: str) -> "WaitingArtifacts":
        return WaitingArtifacts(self._artifacts.under(prefix), self._patience)

    def exists(self, key: str) -> bool:
        return self._wait(lambda: self._artifacts.exists(key))

    def listing(self, prefix: str = "") -> list[str]:
        return self._wait(lambda: self._artifacts.listing(prefix))

    def write(self, key: str, write: Callable[[Path], object]) -> None:
        self._wait(lambda: self._artifacts.write(key, write))

    def read(self, key: str, read: Callable[[Path], T]) -> T:
        return self._wait(lambda: self._artifacts.read(key, read))

    def remove(self, key: str) -> None:
        self._wait(lambda: self._artifacts.remove(key))

    def _wait(self, action: Callable[[], T]) -> T:
        return self._patience.get_through(action, self.location, "artifacts")
