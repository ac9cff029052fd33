# One image for every stage. At run time it needs a database, a bucket and, to train on a GPU, the node's driver.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS dependencies
ENV PATH=/opt/venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY constraints.txt ./
# uv takes a fifth of pip's time. It trusts what the system trusts, and stays out of the image.
ARG UV_VERSION=0.13.8
# The CUDA that a torch wheel carries must fit the cluster's driver; empty: the version in constraints.txt.
ARG TORCH_VERSION=
# What is installed is compiled: at run time nothing can write .pyc files, and compiling torch anew would cost seconds.
RUN python3 -m venv /opt/venv /opt/uv \
 && /opt/uv/bin/pip install "uv==$UV_VERSION" \
 && export VIRTUAL_ENV=/opt/venv UV_NO_CACHE=1 UV_NATIVE_TLS=1 UV_COMPILE_BYTECODE=1 \
 && if [ -n "$TORCH_VERSION" ]; then \
        sed -i -E '/^(torch|torchvision|triton|nvidia-.*|cuda-.*)==/d' constraints.txt \
     && /opt/uv/bin/uv pip install --constraint constraints.txt "torch==$TORCH_VERSION" torchvision; \
    fi \
 && /opt/uv/bin/uv pip install --no-deps --requirement constraints.txt \
 && rm -r /opt/uv

FROM dependencies AS code
COPY pyproject.toml README.md LICENSE ./
COPY resnet_core resnet_core
COPY jobs jobs
# pip check: constraints.txt has all that pyproject.toml asks for, in versions that fit each other.
RUN pip install --no-deps --no-build-isolation --prefix /code . \
 && PYTHONPATH=$(echo /code/lib/python3*/site-packages) pip check

FROM dependencies
# The one layer that a change of code rebuilds.
COPY --from=code /code /opt/venv
# Any uid will do, over a root file system that cannot be written to: all that is written goes to /tmp.
ENV HOME=/tmp \
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
