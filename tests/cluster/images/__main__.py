"""Builds the images and puts them into the registry of the single node; with `build`, which needs no node, only builds."""

import sys

from tests.cluster.images import buildah
from tests.cluster.images.build import build_all, into_registry, into_storage
from tests.cluster.single_node.layout import REGISTRY, Layout

if obstacle := buildah.obstacle():
    sys.exit(obstacle)
how = into_storage if sys.argv[1:] == ["build"] else into_registry(REGISTRY)
images = build_all(how, Layout.from_environment().binaries)
for image in (images.resnet_sweep, images.postgresql, images.minio, images.versitygw, images.dashboard):
    print(image)
