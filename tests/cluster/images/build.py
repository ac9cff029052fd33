"""Which images there are, from which files each is built, and what a cluster knows them as."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.images import buildah
from tests.support.versions import VERSIONS

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]


@dataclass(frozen=True)
class Image:
    """`digest` is empty where the tag alone names it: of images that somebody else has provided, or kind has loaded."""

    repository: str
    tag: str
    digest: str = ""

    @classmethod
    def parse(cls, reference: str) -> "Image":
        """REPOSITORY[:TAG][@DIGEST], of which at least one must be given."""
        name, _, digest = reference.partition("@")
        repository, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:  # the colon belongs to the registry's port
            repository, tag = name, ""
        if not tag and not digest:
            raise ValueError(f"{reference}: an image needs a tag or a digest")
        return cls(repository, tag, digest)

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True)
class Images:
    resnet_sweep: Image
    postgresql: Image
    minio: Image
    versitygw: Image
    dashboard: Image


Build = Callable[[str, Path, Path, Mapping[str, str]], Image]


def build_all(build: Build, binaries: Path) -> Images:
    """`build` makes an image from its name, a folder, a Containerfile and arguments for it."""
    postgresql, dashboard = HERE / "postgresql", HERE / "dashboard"
    return Images(
        postgresql=build("postgresql", postgresql, postgresql / "Containerfile", _versions("POSTGRESQL")),
        minio=_build_server(build, binaries / "minio"),
        versitygw=_build_server(build, binaries / "versitygw"),
        dashboard=build("dashboard", dashboard, dashboard / "Containerfile", _versions("OPTUNA_DASHBOARD", "PSYCOPG2")),
        resnet_sweep=build("resnet-sweep", REPOSITORY, REPOSITORY / "Dockerfile", {}),
    )


def _build_server(build: Build, binary: Path) -> Image:
    with _folder_with(binary) as folder:
        return build(binary.name, folder, HERE / "bucket/Containerfile", {"SERVER": binary.name})


def into_storage(name: str, folder: Path, containerfile: Path, arguments: Mapping[str, str]) -> Image:
    """A `build` for build_all that needs no Docker and no registry: what it builds is used again by into_registry's."""
    return Image.parse(buildah.build(name, folder, containerfile, arguments))


def into_registry(registry: str) -> Build:
    """A `build` for build_all that needs no Docker."""

    def build(name: str, folder: Path, containerfile: Path, arguments: Mapping[str, str]) -> Image:
        tag = buildah.build(name, folder, containerfile, arguments)
        return Image(f"{registry}/{name}", "test", buildah.push(tag, registry))

    return build


@contextmanager
def _folder_with(binary: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="resnet-sweep-image-") as folder:
        shutil.copy2(binary, folder)
        yield Path(folder)


def _versions(*names: str) -> dict[str, str]:
    return {name: VERSIONS[name] for name in names}
