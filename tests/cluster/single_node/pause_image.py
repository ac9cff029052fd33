"""The image of the process that holds a pod's namespaces: one static binary, so no image builder is needed."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"


def write_pause_image(binary: Path, name: str, archive: Path) -> None:
    """An OCI archive as `ctr images import` reads it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(binary, "pause", filter=_of_root)
    with tarfile.open(archive, "w") as tar:
        image = Blobs(tar)
        layers = [image.add(layer.getvalue(), f"{OCI}.layer.v1.tar")]
        config = image.add_json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Entrypoint": ["/pause"]},
                "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]},
            },
            f"{OCI}.config.v1+json",
        )
        manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": layers}
        descriptor = image.add_json(manifest, f"{OCI}.manifest.v1+json")
        names = {"annotations": {"io.containerd.image.name": name}}
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [{**descriptor, **names}]}).encode())
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


class Blobs:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        _add(self._tar, f"blobs/sha256/{digest}", content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def add_json(self, content: dict[str, Any], media_type: str) -> dict[str, Any]:
        return self.add(json.dumps(content).encode(), media_type)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
