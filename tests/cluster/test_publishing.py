"""The chart as others get it from a registry: it installs the image that it was published with."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster.kubernetes_cluster import Cluster
from tests.cluster.release import CHART
from tests.cluster.single_node.layout import REGISTRY

PUSH = CHART.parent / "push.sh"


def test_published_chart_installs_the_image_that_it_was_published_with(cluster: Cluster) -> None:
    if cluster.single_node is None:
        pytest.skip("needs a registry of its own")
    image, registry = cluster.images.resnet_sweep, f"{REGISTRY}/lab"
    path = f"{Path(cluster.helm_command).parent}:{os.environ['PATH']}"
    command = [PUSH, registry, image.repository, image.digest]
    pushed = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
    assert pushed.returncode == 0, pushed.stderr
    published = cluster.helm("template", "run1", f"oci://{registry}/charts/resnet-sweep", "--plain-http")
    values = f"image.repository={image.repository},image.digest={image.digest}"
    assert published == cluster.helm("template", "run1", str(CHART), f"--set={values}")
    assert f"{image.repository}@{image.digest}" in published


def test_digest_that_is_none_is_refused() -> None:
    pushed = subprocess.run([PUSH, REGISTRY, "image", "1.0"], capture_output=True, text=True, check=False)
    assert (pushed.returncode, pushed.stdout) == (2, "")
    assert pushed.stderr == "1.0: a digest is sha256: and 64 hexadecimal digits\n"
