"""Images without Docker: built by buildah over a base image from Debian's packages."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.versions import VERSIONS

DEBIAN = VERSIONS["DEBIAN"]
BASE = f"localhost/resnet-sweep-base:{DEBIAN}"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class BuildFailed(Exception):
    pass


def obstacle() -> str | None:
    """Why no image can be built here; None where one can."""
    if os.geteuid() != 0:
        return "building images needs root"
    absent = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    return f"Debian's packages are missing: {' '.join(absent)}" if absent else None


def build(name: str, folder: Path, containerfile: Path, arguments: Mapping[str, str]) -> str:
    """Builds over the base image and returns the name in buildah's storage; layers that are there are used again."""
    _make_base()
    tag = f"localhost/{name}:test"
    options = ["--layers", "--isolation=chroot", "--network=host", f"--build-arg=BASE_IMAGE={BASE}"]
    options += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    # what this machine trusts: its way to the package index may lead through a proxy with an authority of its own
    options += [f"--volume={AUTHORITIES}:{AUTHORITIES}:ro"]
    _buildah("build", *options, f"--file={containerfile}", f"--tag={tag}", str(folder))
    return tag


def run(tag: str, command: list[str], user: str) -> int:
    """The exit code of a command in a container of the image, whose /tmp alone can be written to; it prints as it goes."""
    container = _buildah("from", tag).strip()
    try:
        options = [f"--user={user}", "--isolation=chroot", "--mount=type=tmpfs,destination=/tmp,tmpfs-mode=1777"]
        return subprocess.run(
            ["buildah", "run", *options, container, "--", *command], env=_environment(), check=False
        ).returncode
    finally:
        _buildah("rm", container)


def push(tag: str, registry: str) -> str:
    """Returns the image's digest in the registry; layers that are there are not sent again."""
    name = tag.removeprefix("localhost/")
    with tempfile.NamedTemporaryFile() as digest:
        # compression cannot be turned off towards a registry; this one is the quickest to do and to undo
        compression = ["--compression-format=zstd", "--compression-level=1"]
        options = [*compression, "--tls-verify=false", f"--digestfile={digest.name}"]
        _buildah("push", *options, tag, f"docker://{registry}/{name}")
        return Path(digest.name).read_text()


def _make_base() -> None:
    if _buildah("images", "--quiet", "--filter", f"reference={BASE}"):
        return
    with tempfile.TemporaryDirectory(prefix="resnet-sweep-base-", dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", DEBIAN, str(root)]
        _run(command)
        for leftover in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / leftover)
            (root / leftover).mkdir()
        container = _buildah("from", "scratch").strip()
        _buildah("add", "--quiet", container, str(root), "/")
        _buildah("config", "--env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        _buildah("commit", "--quiet", "--rm", container, BASE)


def _buildah(*arguments: str) -> str:
    return _run(["buildah", *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise BuildFailed(f"{' '.join(command)} failed:\n{end}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Without a driver named, buildah may settle for one that copies every layer whole."""
    return {"STORAGE_DRIVER": "overlay", **os.environ}
