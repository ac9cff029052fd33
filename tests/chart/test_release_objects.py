"""What belongs to a release beside the stages: throwaway services, hooks, notes, and the manifests without Helm."""

import re
from typing import Any

import pytest
import yaml

from tests.chart.test_network import policies_of
from tests.support.helm import CHART, EVERYTHING, REPOSITORY, Helm, Rendered
from tests.support.restricted import violations

ANYWHERE = "--set=networkPolicy.database.cidrs={0.0.0.0/0}"


@pytest.mark.parametrize("service", ["postgresql", "bucket"])
def test_a_throwaway_service_keeps_its_data(defaults: Rendered, service: str) -> None:
    spec = defaults.one("StatefulSet", f"run1-{service}")["spec"]
    assert spec["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
    assert "persistentVolumeClaimRetentionPolicy" not in spec  # the default: volumes stay
    assert spec["template"]["spec"]["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    assert spec["template"]["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] == 1
    assert spec["serviceName"] == defaults.one("Service", f"run1-{service}")["metadata"]["name"]


def test_a_volume_can_be_done_without(helm: Helm) -> None:
    rendered = helm.render("--set=postgresql.persistence.enabled=false,bucket.persistence.enabled=false")
    for service in rendered.kind("StatefulSet"):
        assert "volumeClaimTemplates" not in service["spec"]
        assert {"name": "data", "emptyDir": {}} in service["spec"]["template"]["spec"]["volumes"]


def test_many_workers_share_the_sessions_of_a_pooler(helm: Helm) -> None:
    """tests/services/test_pooler.py runs its script."""
    spec = database_of(helm, "--set=worker.count=26,worker.processes=2")
    server, pooler = spec["containers"]
    assert server["args"] == ["-c", "max_connections=50"]
    assert "ports" not in server
    script = (CHART / "postgresql/pooler.sh").read_text()
    assert "$(" not in script  # which Kubernetes would fill in
    assert pooler["command"] == ["bash", "-c", script, "pooler"]
    assert pooler["args"] == ["5432", "268", "40"]
    assert pooler["ports"] == [{"name": "postgresql", "containerPort": 5432}]
    ports = [{row["name"]: row.get("value") for row in container["env"]}["PGPORT"] for container in (server, pooler)]
    assert ports == ["5433", "5433"]
    assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", pooler["image"])


def test_few_workers_have_connections_of_their_own(helm: Helm) -> None:
    spec = database_of(helm, "--set=worker.count=25,worker.processes=2")
    (server,) = spec["containers"]
    assert server["args"] == ["-c", "max_connections=260"]  # two each, and as many again while workers are replaced
    assert server["ports"] == [{"name": "postgresql", "containerPort": 5432}]


def database_of(helm: Helm, *options: str) -> dict[str, Any]:
    pod: dict[str, Any] = helm.render(*options).one("StatefulSet", "run1-postgresql")["spec"]["template"]["spec"]
    return pod


def test_services_of_one_s_own_keep_the_throwaway_ones_away(helm: Helm, everything: Rendered) -> None:
    assert everything.kind("StatefulSet") == []
    assert everything.secrets == {}
    database = helm.render("--set=database.existingSecret=database", ANYWHERE)
    assert [row["metadata"]["name"] for row in database.kind("StatefulSet")] == ["run1-bucket"]


def test_an_upgrade_of_helms_is_checked_before_anything_is_changed(everything: Rendered) -> None:
    experiment, job = everything.one("ConfigMap", "run1-upgrade"), everything.one("Job", "run1-upgrade")
    for document in (experiment, job):
        assert document["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    weights = [int(row["metadata"]["annotations"]["helm.sh/hook-weight"]) for row in (experiment, job)]
    assert weights[0] < weights[1]
    annotations = job["metadata"]["annotations"]
    assert annotations["helm.sh/hook-output-log-policy"] == "hook-failed"
    assert "hook-failed" in annotations["helm.sh/hook-delete-policy"]  # else it would outlive the release
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] < 300  # Helm's own patience
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == ["check", "--config", "/etc/resnet-sweep/experiment.yaml"]
    assert pod["volumes"][0]["projected"]["sources"] == [{"configMap": {"name": "run1-upgrade"}}]
    assert violations(pod) == []
    assert policies_of(everything, job["spec"]["template"]["metadata"]["labels"], "Egress")


def test_what_is_applied_without_helm_has_no_hook_to_wait_for(helm: Helm) -> None:
    """A first sync would run one before there is anything to ask; Argo CD leaves hooks of `helm test` out."""
    rendered = helm.render(f"--values={EVERYTHING}")
    hooks = {document["metadata"].get("annotations", {}).get("helm.sh/hook") for document in rendered.documents}
    assert hooks <= {None, "test"}


@pytest.mark.parametrize("options", [[], ["--set=dashboard.enabled=true"], [f"--values={EVERYTHING}"]])
def test_the_same_values_render_the_same(helm: Helm, options: list[str]) -> None:
    assert helm.render(*options).text == helm.render(*options).text


@pytest.mark.parametrize(
    "changed",
    ["experiment.sweep.trials=13", "worker.count=3", "image.tag=2.0.1", "postgresql.resources.limits.memory=2Gi"],
)
def test_a_changed_value_makes_another_pipeline(helm: Helm, defaults: Rendered, changed: str) -> None:
    """A Job cannot be changed."""
    other = helm.render(f"--set={changed}")
    assert other.pipeline["metadata"]["name"] != defaults.pipeline["metadata"]["name"]


@pytest.mark.parametrize(("gpus", "device"), [(1, "cuda"), (0, "cpu")])
def test_helm_test_checks_a_workers_device_if_asked(helm: Helm, defaults: Rendered, gpus: int, device: str) -> None:
    assert "run1-test-device" not in [row["metadata"]["name"] for row in defaults.kind("Pod")]
    rendered = helm.render(f"--set=test.device=true,worker.gpus={gpus},scheduling.training.nodeSelector.gpu=yes")
    pod = rendered.one("Pod", "run1-test-device")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["check", "--device", device]
    worker = rendered.stages["sweep"]["spec"]["template"]["spec"]
    assert container["resources"] == worker["containers"][0]["resources"]
    assert container["resources"]["limits"].get("nvidia.com/gpu", 0) == gpus
    assert pod["spec"]["nodeSelector"] == worker["nodeSelector"]
    assert violations(pod["spec"]) == []
    assert policies_of(rendered, pod["metadata"]["labels"], "Ingress")
    assert policies_of(rendered, pod["metadata"]["labels"], "Egress")
    assert rendered.one("Pod", "run1-test")["spec"]["containers"][0]["args"] == ["check"]


def test_an_upgrade_that_makes_a_lost_password_anew_asks_nobody(helm: Helm, everything: Rendered) -> None:
    """Without the Secret the check's pod could not start. `helm template` finds no Secret, as after it was deleted."""
    assert [row["metadata"]["name"] for row in helm.render("--is-upgrade").kind("Job") if "upgrade" in str(row)] == []
    assert everything.one("Job", "run1-upgrade")


@pytest.mark.parametrize("service", ["postgresql", "bucket", "dashboard"])
def test_a_secret_of_its_own_says_whose_pods_need_it(watched: Rendered, service: str) -> None:
    secret = watched.secrets[f"run1-{service}"]
    labels = secret["metadata"]["labels"]
    (pod,) = (pod for name, pod in watched.pods() if name.endswith(f" run1-{service}"))
    assert labels["app.kubernetes.io/component"] == pod["metadata"]["labels"]["app.kubernetes.io/component"]
    assert "app.kubernetes.io/instance" not in labels  # by which Argo CD would take it for what is to be removed
    named = {
        (reference["name"], reference["key"])
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
        for row in container.get("env", ())
        if (reference := row.get("valueFrom", {}).get("secretKeyRef"))
    }
    assert {key for name, key in named if name == secret["metadata"]["name"]} <= set(secret["stringData"])
    assert any(name == secret["metadata"]["name"] for name, _ in named)


def test_the_database_takes_the_password_before_it_listens(defaults: Rendered) -> None:
    """tests/services runs the script."""
    container = defaults.one("StatefulSet", "run1-postgresql")["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["bash", "-c", (CHART / "postgresql/start.sh").read_text(), "postgresql"]
    assert "$(" not in container["command"][2]  # which Kubernetes would fill in
    assert container["args"][0] == "-c"


def test_helm_test_runs_our_image(defaults: Rendered) -> None:
    pod = defaults.one("Pod", "run1-test")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["containers"][0]["args"] == ["check"]


def test_the_dashboard_tells_nobody_the_password(everything: Rendered, watched: Rendered) -> None:
    (container,) = _dashboard(everything)["containers"]
    assert "$(" not in str(container["command"])  # which Kubernetes would fill in
    assert _urls(container) == {"DATABASE_URL": ("dashboard", "url")}
    (url,) = watched.secrets["run1-dashboard"]["stringData"].values()
    assert url not in str(watched.kind("Deployment"))


def test_the_dashboard_only_reads(watched: Rendered) -> None:
    """In the throwaway PostgreSQL its user is made before it starts; only the container that does it is the owner."""
    (container,), (init,) = _dashboard(watched)["containers"], _dashboard(watched)["initContainers"]
    reader, owner = ("run1-dashboard", "DATABASE_URL"), ("run1-postgresql", "DATABASE_URL")
    assert _urls(container) == {"DATABASE_URL": reader}
    assert _urls(init) == {"DATABASE_URL": reader, "OWNER_URL": owner}
    assert container["command"][3:] == ["serve", "--host=0.0.0.0", "--port=8080"]
    assert init["command"][3:] == ["reader"]
    (url,) = watched.secrets["run1-dashboard"]["stringData"].values()
    assert url == "postgresql://reader:$password@run1-postgresql:5432/sweeps"


def _dashboard(rendered: Rendered) -> dict[str, Any]:
    spec: dict[str, Any] = rendered.one("Deployment", "run1-dashboard")["spec"]["template"]["spec"]
    return spec


def _urls(container: dict[str, Any]) -> dict[str, tuple[str, str]]:
    secrets = {row["name"]: row["valueFrom"]["secretKeyRef"] for row in container["env"] if "valueFrom" in row}
    return {name: (secret["name"], secret["key"]) for name, secret in secrets.items()}


def test_notes_say_how_to_watch_fetch_and_diagnose(helm: Helm) -> None:
    notes = helm.notes()
    assert re.search(r"kubectl -n lab logs -f job/run1-pipeline-[0-9a-f]{8} --pod-running-timeout=10m\n", notes)
    assert "kubectl -n lab port-forward service/run1-bucket 9000 &\n" in notes
    assert "  resnet-sweep fetch s3://sweeps/run1 " in notes
    assert "!! The PostgreSQL and the bucket of this release are throwaway" in notes
    assert "kubectl -n lab delete secret run1-postgresql run1-bucket\n" in notes
    assert "kubectl -n lab delete pvc data-run1-postgresql-0 data-run1-bucket-0" in notes
    assert "\n\n\n" not in notes


def test_notes_fit_services_of_one_s_own(helm: Helm) -> None:
    notes = helm.notes(f"--values={EVERYTHING}")
    assert "resnet-sweep fetch s3://bucket/some/prefix/digits-again " in notes
    assert "export AWS_ENDPOINT_URL=https://minio.example:9443 AWS_REGION=eu-central-1 S3_ADDRESSING=virtual\n" in notes
    assert "get configmap authorities -o jsonpath='{.data.ca\\.crt}' > ca.crt; export AWS_CA_BUNDLE=ca.crt\n" in notes
    assert "kubectl -n lab get secret bucket" in notes
    assert "kubectl -n lab port-forward service/run1-dashboard 8080\n" in notes
    assert not re.search(r"throwaway|delete (secret|pvc)|port-forward service/run1-bucket|\n\n\n", notes)
    half = helm.notes("--set=database.existingSecret=database", ANYWHERE)
    assert "!! The bucket of this release is throwaway" in half
    assert "delete secret run1-bucket\n" in half
    assert "delete pvc data-run1-bucket-0" in half
    assert half.count("!! networkPolicy.") == 1
    assert "!! networkPolicy.database.cidrs allows any address: " in half
    assert "!! networkPolicy." not in notes


def test_the_manifests_without_helm_are_up_to_date(helm: Helm) -> None:
    folder = REPOSITORY / "k8s"
    readme = (folder / "README.md").read_text()
    (command,) = re.findall(r"helm (template resnet-sweep .*?) > k8s/resnet-sweep\.yaml", readme, re.DOTALL)
    arguments = command.replace("\\\n", " ").replace("charts/", f"{REPOSITORY}/charts/").replace("k8s/", f"{folder}/")
    rendered = _objects(helm.run(*arguments.split()))
    assert rendered == _objects((folder / "resnet-sweep.yaml").read_text()), "k8s/README.md says how to render them"


def test_the_manifests_without_helm_hold_no_hook_and_no_secret() -> None:
    rendered = Rendered((REPOSITORY / "k8s/resnet-sweep.yaml").read_text())
    assert "helm.sh/hook" not in rendered.text
    assert rendered.secrets == {}
    assert rendered.pipeline["metadata"]["name"].startswith("resnet-sweep-pipeline-")


def test_kind_gets_a_release_without_gpus(helm: Helm) -> None:
    rendered = helm.render(f"--values={REPOSITORY}/k8s/values-kind.yaml")
    for _, pod in rendered.pods():
        assert "nvidia.com/gpu" not in str(pod)
    cluster = yaml.safe_load((REPOSITORY / "k8s/kind.yaml").read_text())
    assert {node["image"].startswith("kindest/node:v1.34") for node in cluster["nodes"]} == {True}


def _objects(text: str) -> dict[tuple[str, str], Any]:
    return {
        (document["kind"], document["metadata"]["name"]): document for document in yaml.safe_load_all(text) if document
    }
