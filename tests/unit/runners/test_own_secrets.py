"""The Secrets of the release's own services: each made once, and what waits for one, or has another password."""

import base64
import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.runners.kubernetes.own_secrets import has_own_secrets, make_own_secrets
from jobs.runtime.errors import Failure
from tests.support.api_server import CREATED, api_server

DATA = {
    "postgresql": {"POSTGRES_PASSWORD": "$password", "DATABASE_URL": "postgresql://sweep:$password@run1-postgresql/x"},
    "bucket": {"AWS_ACCESS_KEY_ID": "sweep", "AWS_SECRET_ACCESS_KEY": "$password"},
    "dashboard": {"DATABASE_URL": "postgresql://reader:$password@run1-postgresql/x"},
}


BEFORE, AFTER = "2026-01-01T11:59:59Z", "2026-01-01T12:00:01Z"  # the Secrets are made


@pytest.fixture
def stages(tmp_path: Path) -> Path:
    manifests = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"run1-{component}", "labels": {"app.kubernetes.io/component": component}},
            "stringData": data,
        }
        for component, data in DATA.items()
    ]
    (tmp_path / "secrets.yaml").write_text(yaml.safe_dump(manifests))
    return tmp_path


def pod(name: str, created: str, started: str | None = None) -> dict[str, Any]:
    """One whose container runs, or waits for a Secret."""
    state = {"running": {"startedAt": started}} if started else {"waiting": {"reason": "CreateContainerConfigError"}}
    metadata = {"name": name, "uid": name, "creationTimestamp": created}
    return {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [{"state": state}]}}


def test_each_is_made_with_a_password_of_its_own(stages: Path) -> None:
    secrets: dict[str, Any] = {}
    with api_server([], [], secrets) as namespace:
        variables = make_own_secrets(namespace, stages, "run1")
    assert set(secrets) == {"run1-postgresql", "run1-bucket", "run1-dashboard"}
    data = {
        name: {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        for name, secret in secrets.items()
    }
    password = data["run1-postgresql"]["POSTGRES_PASSWORD"]
    assert re.fullmatch("[A-Za-z0-9]{32}", password)
    assert data["run1-postgresql"]["DATABASE_URL"] == f"postgresql://sweep:{password}@run1-postgresql/x"
    others = {data["run1-bucket"]["AWS_SECRET_ACCESS_KEY"], data["run1-dashboard"]["DATABASE_URL"].split(":")[2][:32]}
    assert len(others | {password}) == 3
    assert variables == data["run1-postgresql"] | data["run1-bucket"]  # the dashboard's is not for us


def test_one_that_is_there_stays_as_it_is(stages: Path) -> None:
    secrets: dict[str, Any] = {}
    with api_server([], [], secrets) as namespace:
        make_own_secrets(namespace, stages, "run1")
        first = copy.deepcopy(secrets)
        make_own_secrets(namespace, stages, "run1")
    assert secrets == first


def test_a_pod_that_runs_with_a_former_password_is_replaced(stages: Path) -> None:
    pods = [pod("run1-postgresql-0", BEFORE, BEFORE), pod("run1-bucket-0", BEFORE, CREATED), pod("new", AFTER, AFTER)]
    with api_server([], pods) as namespace:
        make_own_secrets(namespace, stages, "run1")
    assert [row["metadata"]["name"] for row in pods] == ["run1-bucket-0", "new"]


def test_an_init_container_that_runs_with_a_former_password_counts_too(stages: Path) -> None:
    item = pod("run1-dashboard", BEFORE)
    item["status"]["initContainerStatuses"] = pod("", BEFORE, BEFORE)["status"]["containerStatuses"]
    pods = [item]
    with api_server([], pods) as namespace:
        make_own_secrets(namespace, stages, "run1")
    assert pods == []


def test_a_pod_that_waits_is_told_that_its_secret_is_there(stages: Path) -> None:
    """To delete it could hit a server that has just begun: many seconds are lost until that has ended."""
    pods = [pod("run1-postgresql-0", BEFORE), pod("run1-bucket-0", CREATED), pod("new", AFTER)]
    with api_server([], pods) as namespace:
        make_own_secrets(namespace, stages, "run1")
    told = [row["metadata"].get("annotations") for row in pods]
    assert all(told[:2])
    assert told[2] is None


def test_a_release_without_services_of_its_own_needs_none(tmp_path: Path) -> None:
    assert not has_own_secrets(tmp_path)


def test_a_file_that_is_no_yaml_is_named(stages: Path) -> None:
    (stages / "secrets.yaml").write_text("{")
    with api_server([]) as namespace, pytest.raises(Failure, match=re.escape(str(stages / "secrets.yaml"))):
        make_own_secrets(namespace, stages, "run1")
