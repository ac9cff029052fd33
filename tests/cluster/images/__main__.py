"""Builds the images and puts them into the registry of the single node."""

import sys

from ..single_node.layout import REGISTRY, Layout
from . import buildah
from .build import build_all, into_registry

if obstacle := buildah.obstacle():
    sys.exit(obstacle)
images = build_all(into_registry(REGISTRY), Layout.from_environment().binaries / "minio")
for image in (images.resnet_sweep, images.postgresql, images.minio, images.dashboard):
    print(image)
