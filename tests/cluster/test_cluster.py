"""The ground that the other tests stand on: our image under the restricted standard, a database, names of services."""

import random
from importlib import metadata
from typing import Any

from tests.cluster.images.build import Image
from tests.cluster.kubernetes_cluster import Cluster, Namespace

PASSWORD = "s3cret/with+signs="


def test_our_image_runs_under_the_restricted_standard_as_any_user(cluster: Cluster, namespace: Namespace) -> None:
    uid = random.randrange(100_000, 2**31)
    namespace.create(pod("version", cluster.images.resnet_sweep, uid, args=["--version"]))
    printed = namespace.log_of_finished("version")
    assert printed.strip() == metadata.version("resnet-sweep")


def test_what_a_process_imports_is_compiled_in_our_image(cluster: Cluster, namespace: Namespace) -> None:
    """Nothing can write .pyc files at run time, so that every start would compile all that it imports."""
    program = """
import pathlib, sys
import jobs.stages.evaluate.stage, jobs.stages.final_train.stage, jobs.stages.prepare, jobs.stages.sweep.stage, kubernetes.client
files = {name: getattr(module, "__cached__", None) for name, module in sys.modules.items()}
compiled = {name: file for name, file in files.items() if isinstance(file, str)}
print(len(compiled), *(name for name, file in compiled.items() if not pathlib.Path(file).exists()))
"""
    namespace.create(pod("compiled", cluster.images.resnet_sweep, 4711, command=["python", "-c", program]))
    count, *absent = namespace.log_of_finished("compiled").split()
    assert int(count) > 1000
    assert absent == []


def test_figures_can_be_labelled_in_the_languages_of_most_people(cluster: Cluster, namespace: Namespace) -> None:
    names = ["猫", "貓", "ねこ", "고양이", "बिल्ली", "বিড়াল", "பூனை", "แมว", "قطة", "חתול", "кошка", "γάτα", "ድመት"]
    program = f"from resnet_core.figures.fonts import label; print([name for name in {names!r} if label(name) != name])"
    namespace.create(pod("labels", cluster.images.resnet_sweep, 4711, command=["python", "-c", program]))
    assert namespace.log_of_finished("labels").splitlines()[-1] == "[]"


def test_a_database_is_reached_by_the_name_of_its_service(cluster: Cluster, namespace: Namespace) -> None:
    database = pod(
        "postgresql", cluster.images.postgresql, 999, env={"POSTGRES_USER": "sweep", "POSTGRES_PASSWORD": PASSWORD}
    )
    write_to(database, "/var/run/postgresql", "/var/lib/postgresql/data")
    container = database["spec"]["containers"][0]
    container["env"].append({"name": "PGDATA", "value": "/var/lib/postgresql/data/db"})
    container["readinessProbe"] = {"exec": {"command": ["pg_isready", "--host=127.0.0.1"]}, "periodSeconds": 1}
    service = {"selector": {"app": "postgresql"}, "ports": [{"port": 5432}]}
    namespace.create(
        database, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgresql"}, "spec": service}
    )
    namespace.wait("pod/postgresql", "condition=Ready")

    program = """
import psycopg2, time
deadline = time.monotonic() + 30  # the service follows the pod's readiness a moment later
while True:
    try:
        psycopg2.connect("postgresql://sweep@postgresql:5432/sweep")
        break
    except psycopg2.OperationalError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)
"""
    client = pod(
        "client", cluster.images.resnet_sweep, 4711, command=["python", "-c", program], env={"PGPASSWORD": PASSWORD}
    )
    namespace.create(client)
    namespace.log_of_finished("client")


def pod(name: str, image: Image, uid: int, env: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    """A pod that the restricted standard admits, with a root file system that cannot be written to."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
    main = {"name": "main", "image": str(image), "env": variables, "securityContext": security, **container}
    user = {"runAsNonRoot": True, "runAsUser": uid, "runAsGroup": uid, "fsGroup": uid}
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [main],
    }
    found = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
    write_to(found, "/tmp")
    return found


def write_to(pod: dict[str, Any], *folders: str) -> None:
    volumes, mounts = pod["spec"].setdefault("volumes", []), pod["spec"]["containers"][0].setdefault("volumeMounts", [])
    for folder in folders:
        volumes.append({"name": f"volume-{len(volumes)}", "emptyDir": {}})
        mounts.append({"name": volumes[-1]["name"], "mountPath": folder})
