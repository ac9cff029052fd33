"""The list of all that belongs to a result, with sizes and checksums. A result without one is not a result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from jobs.artifacts import Artifacts
from jobs.artifacts.base import file_sha256
from jobs.runtime.errors import Failure

MANIFEST = "manifest.json"


class NotAResult(Failure):
    """There is no manifest that could be read."""


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

    @field_validator("objects")
    @classmethod
    def _check_keys(cls, objects: dict[str, ManifestEntry]) -> dict[str, ManifestEntry]:
        for key in objects:
            if PurePosixPath(key).is_absolute() or ".." in PurePosixPath(key).parts:
                raise ValueError(f"{key} is not below the result")
        return objects


@dataclass(frozen=True)
class Fault:
    kind: Literal["missing", "changed", "extra"]
    key: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}{self.detail and f' ({self.detail})'}"


def result_keys(artifacts: Artifacts) -> list[str]:
    """Every object of the study but logs and database."""
    return [key for key in artifacts.listing() if not (key == MANIFEST or key.startswith("logs/") or is_database(key))]


def is_database(key: str) -> bool:
    """Whether this is the study's SQLite file, or what SQLite puts beside it."""
    return key.startswith("study.db")


def write_manifest(artifacts: Artifacts) -> None:
    objects = {key: describe(artifacts, key) for key in result_keys(artifacts)}
    artifacts.write_json(MANIFEST, Manifest(objects=objects).model_dump())


def read_manifest(artifacts: Artifacts) -> Manifest:
    """Raises NotAResult where the result is not finished, or is none at all."""
    try:
        return Manifest.model_validate_json(artifacts.read_text(MANIFEST))
    except FileNotFoundError:
        raise NotAResult(f"{artifacts.location}: no {MANIFEST}; a result is finished when it has one") from None
    except ValidationError as error:
        fault = error.errors()[0]
        parts = [".".join(str(part) for part in fault["loc"]), fault["msg"].removeprefix("Value error, ")]
        raise NotAResult(f"{artifacts.location}/{MANIFEST}: {': '.join(part for part in parts if part)}") from None


def verify(artifacts: Artifacts, manifest: Manifest, on_object: Callable[[], None] = lambda: None) -> list[Fault]:
    """Reads every object, calling `on_object` after each, and returns what is not as the manifest says."""
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
