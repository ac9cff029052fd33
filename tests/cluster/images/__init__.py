"""The images that the tests' clusters run: this project's, and those of the chart's throwaway services.

    python -m tests.cluster.images    # builds them and puts them into the single node's registry; again: what changed

Needs root and Debian's `buildah` and `debootstrap`, and neither a Docker nor a registry of the world: the base image is
made from Debian's packages. What has been built stays in buildah's own storage.
"""
