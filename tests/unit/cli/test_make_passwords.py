"""The pipeline's first act: the Secrets of the release's own services, and what its environment has of them."""

import os
from pathlib import Path

import pytest
import yaml

from jobs.cli.make_passwords import make_passwords
from jobs.runtime import interrupt
from jobs.runtime.settings import read_settings
from tests.support.api_server import Object, api_server

RELEASE = {"app.kubernetes.io/instance": "run1"}


def write_stages(folder: Path) -> Path:
    secret = {
        "kind": "Secret",
        "metadata": {"name": "run1-postgresql", "labels": {"app.kubernetes.io/component": "postgresql"}},
        "stringData": {"DATABASE_URL": "postgresql://sweep:$password@run1-postgresql:5432/sweeps"},
    }
    (folder / "secrets.yaml").write_text(yaml.safe_dump([secret]))
    job = {"kind": "Job", "metadata": {"name": "run1-prepare", "labels": RELEASE}, "spec": {}}
    (folder / "prepare-job.yaml").write_text(yaml.safe_dump(job))
    return folder


def write_kubeconfig(file: Path, url: str) -> None:
    context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "tests"}}
    clusters, users = [{"name": "c", "cluster": {"server": url}}], [{"name": "u", "user": {}}]
    config = {"current-context": "c", "contexts": [context], "clusters": clusters, "users": users}
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))


def test_environment_has_what_the_new_secrets_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("ARTIFACTS_URL", "s3://sweeps")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "environment"))
    secrets: dict[str, Object] = {}
    with api_server([], [], secrets) as namespace:
        write_kubeconfig(tmp_path / "kubeconfig", namespace.location.removeprefix("Kubernetes at "))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        try:
            make_passwords(write_stages(tmp_path))
        finally:
            interrupt.end()
    assert set(secrets) == {"run1-postgresql"}
    url = read_settings().database_url
    assert url.startswith("postgresql://sweep:")
    assert url.endswith("@run1-postgresql:5432/sweeps")
    assert (tmp_path / "environment").read_text() == f"DATABASE_URL={url}\n"


def test_a_release_without_services_of_its_own_asks_nobody(tmp_path: Path) -> None:
    before = dict(os.environ)
    make_passwords(tmp_path)
    assert dict(os.environ) == before
