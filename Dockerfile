# One image for every stage. At run time it needs a database, a bucket and, to train on a GPU, the node's driver.
ARG BASE_IMAGE=python:3.12.15-slim-bookworm@sha256:54c85f3c47607a77f32adec749d3c81d1348bf25833671f512b26a9b6d778cb3

FROM ${BASE_IMAGE} AS dependencies
# For names in figures: the characters of Chinese, Japanese and Korean, and most of the letters of India, Ethiopia and
# Thailand. Matplotlib's own font has those of Europe and the Near East. Debian keeps only the newest package of a release,
# so that a version pinned here would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends fonts-freefont-ttf fonts-wqy-microhei \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
ENV PATH=/opt/venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY constraints*.txt ./
# The CUDA that a torch wheel carries must fit the cluster's driver. Each version that can be had has a
# constraints-torch-VERSION.txt; `python -m tests.cluster.images.versions` builds them all and trains in them.
ARG TORCH_VERSION=2.15.0
# uv takes a fifth of pip's time. It trusts what the system trusts, and stays out of the image. What it installs is
# compiled: at run time nothing can write .pyc files, and compiling torch anew would cost seconds.
RUN python3 -m venv /opt/venv /opt/uv \
 && /opt/uv/bin/pip install --require-hashes --requirement constraints-uv.txt \
 && export VIRTUAL_ENV=/opt/venv UV_NO_CACHE=1 UV_NATIVE_TLS=1 UV_COMPILE_BYTECODE=1 \
 && /opt/uv/bin/uv pip install --no-deps --require-hashes \
        --requirement constraints.txt --requirement "constraints-torch-$TORCH_VERSION.txt" \
 && rm -r /opt/uv

FROM dependencies AS code
COPY pyproject.toml README.md LICENSE ./
COPY resnet_core resnet_core
COPY jobs jobs
# pip check: the constraints have all that pyproject.toml asks for, in versions that fit each other.
RUN pip install --no-deps --no-build-isolation --prefix /code . \
 && PYTHONPATH=$(echo /code/lib/python3*/site-packages) pip check

FROM dependencies
# The one layer that a change of code rebuilds.
COPY --from=code /code /opt/venv
# Any uid will do, over a root file system that cannot be written to: all that is written goes to /tmp. Such a uid has no
# name, for which torch 2.10 asks while it trains.
ENV HOME=/tmp \
    USER=resnet-sweep \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
# No tini: every stage listens to SIGTERM before it loads torch, and whoever starts child processes waits for them, so
# that Python can be process 1. What a killed child leaves behind goes with the container.
ENTRYPOINT ["python", "-m", "jobs"]
CMD ["--help"]

ARG REVISION=unknown
LABEL org.opencontainers.image.title="resnet-sweep" \
      org.opencontainers.image.description="Hyperparameter sweeps for small image classifiers under a hard parameter budget" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
