"""The manifest: the list of all objects of a result, with their sizes and checksums.

It is written last, so a study without a manifest is not a finished result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from jobs.artifacts import Artifacts
from jobs.artifacts.base import file_sha256
from jobs.artifacts.documents import Damaged, read_document, write_document
from jobs.artifacts.keys import DATABASE, LOGS, MANIFEST
from jobs.runtime.errors import Failure


class NotAResult(Failure):
    """There is no manifest, or it cannot be read."""


class ManifestEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int  # bytes
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "ManifestEntry":
        return cls(size=path.stat().st_size, sha256=file_sha256(path))


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    objects: dict[str, ManifestEntry]

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        for key in self.objects:
            if PurePosixPath(key).is_absolute() or ".." in PurePosixPath(key).parts:
                raise ValueError(f"objects: {key} is not below the result")
        return self


@dataclass(frozen=True)
class Fault:
    kind: Literal["missing", "changed", "extra"]
    key: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}{self.detail and f' ({self.detail})'}"


def result_keys(artifacts: Artifacts) -> list[str]:
    """Every object of the study except its manifest, its logs and its database."""
    keys = artifacts.listing()
    return [key for key in keys if not (key == MANIFEST or key.startswith(f"{LOGS}/") or is_database(key))]


def is_database(key: str) -> bool:
    """Whether this is the study's SQLite file, or one of those that SQLite puts beside it."""
    return key.startswith(DATABASE)


def write_manifest(artifacts: Artifacts) -> None:
    objects = {key: describe(artifacts, key) for key in result_keys(artifacts)}
    write_document(artifacts, MANIFEST, Manifest(objects=objects))


def read_manifest(artifacts: Artifacts) -> Manifest:
    """Raises NotAResult if the result is not finished, or if this is no result at all."""
    try:
        return read_document(artifacts, MANIFEST, Manifest)
    except FileNotFoundError:
        raise NotAResult(f"{artifacts.location}: no {MANIFEST}; a result is finished when it has one") from None
    except Damaged as error:
        raise NotAResult(str(error)) from None


def verify(artifacts: Artifacts, manifest: Manifest, on_object: Callable[[], None] = lambda: None) -> list[Fault]:
    """Reads every object and returns those that are not as the manifest says; calls `on_object` after each object."""
    faults = [Fault("extra", key, "") for key in result_keys(artifacts) if key not in manifest.objects]
    for key, expected in manifest.objects.items():
        try:
            found = describe(artifacts, key)
        except FileNotFoundError:
            faults.append(Fault("missing", key, ""))
        else:
            if found != expected:
                faults.append(Fault("changed", key, difference(expected, found)))
        on_object()
    return sorted(faults, key=lambda fault: fault.key)


def describe(artifacts: Artifacts, key: str) -> ManifestEntry:
    return artifacts.read(key, ManifestEntry.of)


def difference(expected: ManifestEntry, found: ManifestEntry) -> str:
    if found.size != expected.size:
        return f"{found.size} bytes, expected {expected.size}"
    return f"sha256 {found.sha256}, expected {expected.sha256}"
