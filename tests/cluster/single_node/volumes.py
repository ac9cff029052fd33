"""The default storage class: folders on the node, enough for every test and campaign; one that was released is not used again."""

from pathlib import Path
from typing import Any

from tests.cluster.single_node.layout import NODE

COUNT = 120
CLASS = "standard"


def manifests(folder: Path) -> list[dict[str, Any]]:
    """Makes the folders and returns the objects that offer them."""
    folder.mkdir()
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    return [storage_class, *(_volume(folder / str(number), f"local-{number}") for number in range(1, COUNT + 1))]


def _volume(folder: Path, name: str) -> dict[str, Any]:
    folder.mkdir()
    folder.chmod(0o777)  # for pods without fsGroup
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
