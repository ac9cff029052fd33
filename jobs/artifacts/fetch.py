"""Copying a result from a bucket or a folder into another folder."""

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.artifacts import Artifacts, FolderArtifacts
from jobs.artifacts.base import T
from jobs.artifacts.keys import EXPERIMENT, LOGS, MANIFEST, TEMPORARY
from jobs.artifacts.manifest import Manifest, ManifestEntry, describe, difference, is_database, read_manifest
from jobs.runtime.errors import Failure

log = logging.getLogger(__name__)

LOG = re.compile(rf"{LOGS}/[^/]+\.log")


class Corrupted(Failure):
    """An object is not the one that the manifest names."""


@dataclass
class Fetched:
    objects: int = 0
    there: int = 0  # how many of them were in the folder already
    bytes: int = 0
    left_out: int = 0  # objects that the manifest does not name


def fetch(source: Artifacts, target: FolderArtifacts, *, partial: bool) -> Fetched:
    """Copies what `target` does not have yet. No object is ever there in part, and the manifest is written last.

    Beside what the manifest names only logs are copied: nobody vouches for anything else.

    Args:
        source: a study's artifacts.
        target: the folder.
        partial: whether to copy also a result without a manifest, which cannot be checked.

    Raises:
        Failure: source and target are the same, or the target holds something else; nothing is written then.
        NotAResult: there is no manifest, and `partial` is False.
        Corrupted: an object is not as its manifest says, or is missing.

    """
    if Path(source.location).resolve() == target.root.resolve():
        raise Failure(f"{target.location}: the result lies there already")
    unfinished = partial and not source.exists(MANIFEST)
    manifest = None if unfinished else read_manifest(source)
    listed = manifest.objects if manifest else {}
    unlisted = [key for key in source.listing() if key != MANIFEST and key not in listed and not is_database(key)]
    others = [key for key in unlisted if unfinished or LOG.fullmatch(key)]
    _make_room(source, target, {*listed, *others, MANIFEST})
    fetched = Fetched(left_out=len(unlisted) - len(others))

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


def _make_room(source: Artifacts, target: FolderArtifacts, keys: set[str]) -> None:
    """Makes sure that the target holds nothing but these objects of this result, or nothing at all.

    What training no longer needs, and an earlier fetch of the unfinished study has brought, is removed.
    """
    strange = [key for key in target.listing() if key not in keys and not TEMPORARY.fullmatch(key)]
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise Failure(f"{target.location}: holds {strange[0]}{more}, not of this result; fetch into another folder")
    if target.exists(EXPERIMENT) and target.read_text(EXPERIMENT) != _text(source, EXPERIMENT):
        raise Failure(f"{target.location}: holds a result of another {EXPERIMENT}; fetch into another folder")
    for key in target.listing():
        if key not in keys:
            target.remove(key)


def _text(source: Artifacts, key: str) -> str | None:
    return source.read_text(key) if source.exists(key) else None


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
