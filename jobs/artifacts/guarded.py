"""Artifacts of work that may be lost to another process meanwhile."""

from collections.abc import Callable
from pathlib import Path

from jobs.artifacts.base import Artifacts, T


class GuardedArtifacts(Artifacts):
    """Calls `check` just before anything is changed; what `check` raises leaves everything as it is."""

    def __init__(self, artifacts: Artifacts, check: Callable[[], None]) -> None:
        self._artifacts, self._check = artifacts, check

    @property
    def location(self) -> str:
        return self._artifacts.location

    def under(self, prefix: str) -> "GuardedArtifacts":
        return GuardedArtifacts(self._artifacts.under(prefix), self._check)

    def exists(self, key: str) -> bool:
        return self._artifacts.exists(key)

    def listing(self, prefix: str = "") -> list[str]:
        return self._artifacts.listing(prefix)

    def write(self, key: str, write: Callable[[Path], object]) -> None:
        def write_and_check(path: Path) -> None:
            write(path)
            self._check()  # here, since what is written may have taken long

        self._artifacts.write(key, write_and_check)

    def read(self, key: str, read: Callable[[Path], T]) -> T:
        return self._artifacts.read(key, read)

    def remove(self, key: str) -> None:
        self._check()
        self._artifacts.remove(key)
