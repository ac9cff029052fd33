"""Builds the images and puts them into the registry of the single node."""

import sys

from tests.cluster.images import buildah
from tests.cluster.images.build import build_all, into_registry
from tests.cluster.single_node.layout import REGISTRY, Layout

if obstacle := buildah.obstacle():
    sys.exit(obstacle)
images = build_all(into_registry(REGISTRY), Layout.from_environment().binaries / "minio")
for image in (images.resnet_sweep, images.postgresql, images.minio, images.dashboard):
    print(image)
