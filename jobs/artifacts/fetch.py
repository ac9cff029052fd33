"""Copying a result from a bucket or a folder into another folder."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.artifacts import Artifacts, FolderArtifacts
from jobs.artifacts.base import T
from jobs.artifacts.keys import MANIFEST
from jobs.artifacts.manifest import Manifest, ManifestEntry, describe, difference, is_database, read_manifest
from jobs.runtime.errors import Failure

log = logging.getLogger(__name__)


class Corrupted(Failure):
    """An object is not the one that the manifest names."""


@dataclass
class Fetched:
    objects: int = 0
    there: int = 0  # how many of them were in the folder already
    bytes: int = 0


def fetch(source: Artifacts, target: FolderArtifacts, *, partial: bool) -> Fetched:
    """Copies what `target` does not have yet. No object is ever there in part, and the manifest is written last.

    Args:
        source: a study's artifacts.
        target: the folder.
        partial: whether to copy also a result without a manifest, which cannot be checked.

    Raises:
        Failure: source and target are the same.
        NotAResult: there is no manifest, and `partial` is False.
        Corrupted: an object is not as its manifest says, or is missing.

    """
    if Path(source.location).resolve() == target.root.resolve():
        raise Failure(f"{target.location}: the result lies there already")
    unfinished = partial and not source.exists(MANIFEST)
    manifest = None if unfinished else read_manifest(source)
    listed, keys = manifest.objects if manifest else {}, source.listing()
    others = [key for key in keys if key != MANIFEST and key not in listed and not is_database(key)]
    fetched = Fetched()

    def take(key: str, expected: ManifestEntry | None) -> None:
        there = _take(source, target, key, expected)
        fetched.objects += 1
        fetched.there += there
        fetched.bytes += target.path(key).stat().st_size

    target.remove(MANIFEST)  # the folder holds no result again until all objects are there
    for key, expected in listed.items():
        take(key, expected)
    for key in others:  # logs, and what an unfinished study has written so far
        try:
            take(key, None)
        except FileNotFoundError:
            log.debug("%s was removed meanwhile", key)
    if manifest is not None:
        take(MANIFEST, None)
        _check_unchanged(manifest, target)
    return fetched


def _take(source: Artifacts, target: FolderArtifacts, key: str, expected: ManifestEntry | None) -> bool:
    """Returns whether the object was there already."""
    if expected and target.exists(key) and describe(target, key) == expected:
        return True

    def copy(found: Path) -> None:
        target.write(key, lambda path: shutil.copyfile(found, path))

    if expected:
        read_checked(source, key, expected, copy)
    else:
        source.read(key, copy)
    return False


def read_checked(artifacts: Artifacts, key: str, expected: ManifestEntry, read: Callable[[Path], T]) -> T:
    """What `read` makes of an object; raises Corrupted if it is not there as the manifest says."""

    def check_and_read(path: Path) -> T:
        found = ManifestEntry.of(path)
        if found != expected:
            raise Corrupted(f"{artifacts.location}/{key}: changed: {difference(expected, found)}")
        return read(path)

    try:
        return artifacts.read(key, check_and_read)
    except FileNotFoundError:
        raise Corrupted(f"{artifacts.location}/{key}: missing, although the manifest names it") from None


def _check_unchanged(manifest: Manifest, target: FolderArtifacts) -> None:
    if read_manifest(target) != manifest:
        target.remove(MANIFEST)
        raise Corrupted(f"{target.location}: the result was written anew meanwhile; fetch it again")
