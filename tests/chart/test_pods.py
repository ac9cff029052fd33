import copy
from typing import Any

import pytest

from tests.support.helm import Helm, Rendered
from tests.support.restricted import violations

OF_UPGRADES = {"upgrade"}
OURS = {"prepare", "sweep", "final-train", "evaluate", "pipeline", "test"} | OF_UPGRADES
SERVICES = {"postgresql", "bucket"}


def component(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])


def test_every_component_is_there(defaults: Rendered, everything: Rendered, watched: Rendered) -> None:
    assert {component(pod) for _, pod in defaults.pods()} == OURS - OF_UPGRADES | SERVICES
    assert {component(pod) for _, pod in everything.pods()} == OURS | {"dashboard"}
    assert {component(pod) for _, pod in watched.pods()} == OURS - OF_UPGRADES | SERVICES | {"dashboard"}


def test_every_pod_is_restricted(rendered: Rendered) -> None:
    assert {name: found for name, pod in rendered.pods() if (found := violations(pod["spec"]))} == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["hostNetwork"], True),
        (["securityContext", "runAsNonRoot"], False),
        (["securityContext", "seccompProfile"], {"type": "Unconfined"}),
        (["containers", 0, "securityContext", "readOnlyRootFilesystem"], False),
        (["containers", 0, "securityContext", "allowPrivilegeEscalation"], None),
        (["containers", 0, "securityContext", "capabilities"], {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        (["volumes", 0, "hostPath"], {"path": "/"}),
    ],
)
def test_a_pod_that_is_not_restricted_is_found(defaults: Rendered, path: list[Any], value: object) -> None:
    pod = copy.deepcopy(defaults.stages["sweep"]["spec"]["template"]["spec"])
    *sections, last = path
    section = pod
    for key in sections:
        section = section[key]
    section[last] = value
    assert len(violations(pod)) == 1


def test_only_the_pipeline_has_a_token(rendered: Rendered) -> None:
    with_token = {component(pod) for _, pod in rendered.pods() if pod["spec"]["automountServiceAccountToken"]}
    assert with_token == {"pipeline"}
    assert all(account["automountServiceAccountToken"] is False for account in rendered.kind("ServiceAccount"))


def test_the_pipeline_may_do_what_it_does_and_no_more(rendered: Rendered) -> None:
    (role,) = rendered.kind("Role")
    rights = [(rule["resources"], rule.get("resourceNames"), rule["verbs"]) for rule in role["rules"]]
    secrets = [(["secrets"], None, ["create"]), (["secrets"], sorted(rendered.secrets), ["get"])]
    assert rights == [
        (["jobs"], None, ["get", "list", "watch", "create", "delete"]),
        (["jobs"], [rendered.pipeline["metadata"]["name"]], ["patch"]),
        (["pods"], None, ["get", "list", "watch", "delete"]),
        (["pods/status"], None, ["patch"]),
        (["events"], None, ["list"]),
        (["configmaps"], ["run1-stages"], ["get"]),
        *(secrets if rendered.secrets else []),
    ]
    assert {document["kind"] for document in rendered.documents} & {"ClusterRole", "ClusterRoleBinding"} == set()


def test_containers_say_why_they_failed(rendered: Rendered) -> None:
    policies = {
        container.get("terminationMessagePolicy")
        for _, pod in rendered.pods()
        if component(pod) in OURS
        for container in pod["spec"]["containers"]
    }
    assert policies == {"FallbackToLogsOnError"}


def test_only_the_dashboard_waits_for_an_init_container(
    defaults: Rendered, everything: Rendered, watched: Rendered
) -> None:
    def waiting(rendered: Rendered) -> set[str]:
        return {component(pod) for _, pod in rendered.pods() if "initContainers" in pod["spec"]}

    assert waiting(defaults) == waiting(everything) == set()
    assert waiting(watched) == {"dashboard"}  # for its database user


def test_pods_go_where_they_are_sent(everything: Rendered) -> None:
    for name, pod in everything.pods():
        spec = pod["spec"]
        assert spec["nodeSelector"] == {"accelerator": "a100"}, name
        assert spec["priorityClassName"] == "batch", name
        assert spec["runtimeClassName"] == "nvidia", name
        assert spec["imagePullSecrets"] == [{"name": "registry"}], name
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"], name
        assert spec["topologySpreadConstraints"], name
        assert spec["affinity"], name
        assert pod["metadata"]["labels"]["team"] == "vision", name
        assert pod["metadata"]["labels"]["cost-center"] == "lab", name
        assert pod["metadata"]["annotations"]["example.com/scrape"] == "no", name


def test_training_and_the_rest_go_to_different_nodes(helm: Helm) -> None:
    place = {"training": {"nodeSelector": {"gpu": "yes"}}, "other": {"nodeSelector": {"gpu": "no"}}}
    rendered = helm.render(values={"scheduling": place})
    where = {component(pod): pod["spec"]["nodeSelector"]["gpu"] for _, pod in rendered.pods()}
    assert {name for name, gpu in where.items() if gpu == "yes"} == {"sweep", "final-train", "evaluate"}


def test_a_lost_node_is_left_after_a_minute(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        seconds = {row["key"]: row.get("tolerationSeconds") for row in pod["spec"].get("tolerations", [])}
        if component(pod) in OURS:
            assert seconds["node.kubernetes.io/unreachable"] == seconds["node.kubernetes.io/not-ready"] == 60, name
        else:
            assert "node.kubernetes.io/unreachable" not in seconds, name


def test_gpus_are_requested_where_they_are_used(helm: Helm, defaults: Rendered, everything: Rendered) -> None:
    def gpus(rendered: Rendered, resource: str) -> dict[str, int]:
        return {
            stage: job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].get(resource, 0)
            for stage, job in rendered.stages.items()
        }

    assert gpus(defaults, "nvidia.com/gpu") == {"prepare": 0, "sweep": 1, "final-train": 1, "evaluate": 1}
    assert gpus(everything, "amd.com/gpu") == {"prepare": 0, "sweep": 1, "final-train": 0, "evaluate": 0}
    several = helm.render("--set=finalTrain.gpus=8,experiment.searchSpace.batchSize=null")
    assert gpus(several, "nvidia.com/gpu")["final-train"] == 8


def test_images_are_named_by_digest_or_version(defaults: Rendered, everything: Rendered) -> None:
    def images(rendered: Rendered) -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for _, pod in rendered.pods() if component(pod) in OURS}

    assert images(defaults) == {"resnet-sweep:0.1.0"}
    digest = "0123456789abcdef" * 4
    assert images(everything) == {f"registry.example:5000/lab/resnet-sweep@sha256:{digest}"}


def test_only_a_final_training_on_several_gpus_has_a_shared_memory_of_its_own(helm: Helm, rendered: Rendered) -> None:
    """Elsewhere it would hide the /dev/shm that NVIDIA's device plugin mounts for MPS."""

    def with_it(rendered: Rendered) -> set[str]:
        return {
            component(pod)
            for _, pod in rendered.pods()
            for container in pod["spec"]["containers"]
            if any(mount["mountPath"] == "/dev/shm" for mount in container["volumeMounts"])
        }

    assert with_it(rendered) == set()
    several = helm.render(
        "--set=finalTrain.gpus=4,worker.processes=8,sharedMemory=3Gi,experiment.searchSpace.batchSize=null"
    )
    assert with_it(several) == {"final-train"}
    volumes = several.stages["final-train"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "3Gi"}} in volumes
