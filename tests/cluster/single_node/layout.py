"""Where everything of the cluster is: addresses, and paths below its one folder."""

import os
from dataclasses import dataclass
from pathlib import Path

NODE = "node1"
NODE_IP = "10.123.0.1"  # carried by a bridge of ours, so that it is the same whatever network the machine is in
API_SERVER = f"https://{NODE_IP}:6443"
POD_CIDR, SERVICE_CIDR, API_SERVICE_IP = "10.244.0.0/24", "10.96.0.0/16", "10.96.0.1"
NODE_BRIDGE, POD_BRIDGE = "rs-node", "rs-pods"
REGISTRY = "127.0.0.1:5000"
PAUSE_IMAGE = "localhost/pause:1"

BINARIES = ("hyperkube", "etcd", "coredns", "registry", "pause", "helm", "minio", "versitygw")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resnet-sweep/cluster"


@dataclass(frozen=True)
class Layout:
    state: Path
    binaries: Path

    @classmethod
    def from_environment(cls) -> "Layout":
        return cls(
            state=Path(os.environ.get("RESNET_SWEEP_CLUSTER_STATE") or "/tmp/resnet-sweep-cluster"),
            binaries=Path(os.environ.get("RESNET_SWEEP_CLUSTER_BINARIES") or CACHE),
        )

    def binary(self, name: str) -> str:
        return str(self.binaries / name)

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.state / f"{user}.kubeconfig"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd.sock"

    @property
    def commands(self) -> Path:
        """The folder with `kubectl` and `helm`."""
        return self.state / "bin"

    def ctr(self, *arguments: str) -> list[str]:
        return ["ctr", "--address", str(self.containerd_socket), "--namespace", "k8s.io", *arguments]
