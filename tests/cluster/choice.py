"""Which cluster the tests run on: the one that is named, else kind, else the single node of plain binaries."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import kind
from tests.cluster.images import buildah
from tests.cluster.images.build import Image, Images, build_all, into_registry
from tests.cluster.kubernetes_cluster import Cluster
from tests.cluster.single_node.cluster import REGISTRY, SingleNode
from tests.cluster.single_node.layout import Layout
from tests.support.missing import missing

KUBECONFIG = "RESNET_SWEEP_KUBECONFIG"
IMAGES = {
    "resnet_sweep": "RESNET_SWEEP_IMAGE",
    "postgresql": "RESNET_SWEEP_POSTGRESQL_IMAGE",
    "minio": "RESNET_SWEEP_MINIO_IMAGE",
    "versitygw": "RESNET_SWEEP_VERSITYGW_IMAGE",
    "dashboard": "RESNET_SWEEP_DASHBOARD_IMAGE",
}


@contextmanager
def chosen_cluster(folder: Path) -> Iterator[Cluster]:
    """`folder` is for its files; what was started here ends here, what ran before runs on."""
    layout = Layout.from_environment()
    if existing := os.environ.get(KUBECONFIG):
        yield Cluster(Path(existing), _kubectl(layout), _helm(layout), _named_images())
    elif kind.answers():
        # Not run where this was written: kind's nodes want a capability that was not to be had there.
        kubeconfig = folder / "kubeconfig"
        for server in (layout.binaries / "minio", layout.binaries / "versitygw"):
            if not server.exists():
                missing(f"no {server}; tests/cluster/single_node/install.sh puts it there")
        with kind.running(kubeconfig, _kubectl(layout), layout.binaries) as images:
            yield Cluster(kubeconfig, _kubectl(layout), _helm(layout), images)
    else:
        node = SingleNode(layout)
        if obstacle := node.obstacle() or buildah.obstacle():
            missing(f"no {KUBECONFIG}, no kind with a Docker, and {obstacle}")
        was_up = node.is_up
        node.up()
        try:
            images = build_all(into_registry(REGISTRY), layout.binaries)
            kubectl, helm = (str(layout.binaries / "hyperkube"), "kubectl"), str(layout.binaries / "helm")
            yield Cluster(layout.kubeconfig(), kubectl, helm, images, node)
        finally:
            if not was_up:
                node.down()


def _named_images() -> Images:
    absent = [variable for variable in IMAGES.values() if not os.environ.get(variable)]
    assert not absent, f"with {KUBECONFIG}, the images must be named too: {', '.join(absent)}"
    return Images(**{name: Image.parse(os.environ[variable]) for name, variable in IMAGES.items()})


def _kubectl(layout: Layout) -> tuple[str, ...]:
    if found := shutil.which("kubectl"):
        return (found,)
    hyperkube = layout.binaries / "hyperkube"
    return (str(hyperkube), "kubectl") if hyperkube.exists() else missing("no kubectl")


def _helm(layout: Layout) -> str:
    return shutil.which("helm", path=f"{os.environ.get('PATH', '')}{os.pathsep}{layout.binaries}") or missing("no helm")
