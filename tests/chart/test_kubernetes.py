"""The manifests against Kubernetes' own schemas, which kubernetes-validate brings along: no cluster needed."""

import kubernetes_validate
import pytest

from tests.support.helm import KUBERNETES, Rendered

NEWEST = kubernetes_validate.latest_version()


@pytest.mark.parametrize("version", sorted({KUBERNETES, NEWEST}))
def test_kubernetes_knows_every_field(rendered: Rendered, version: str) -> None:
    assert len(rendered.documents) > 10
    for document in rendered.documents:
        if document["apiVersion"] == "monitoring.coreos.com/v1":  # not one of Kubernetes' own
            continue
        kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_field_is_found(defaults: Rendered) -> None:
    job = defaults.stages["sweep"]
    wrong = {**job, "spec": {**job["spec"], "backoffLimitPerIndx": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="backoffLimitPerIndx"):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_objects_carry_the_recommended_labels(rendered: Rendered) -> None:
    for document in rendered.documents:
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "resnet-sweep"
        assert labels["app.kubernetes.io/instance"] == "run1"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert "app.kubernetes.io/component" in labels
        if document["kind"] != "Pod":
            assert labels["helm.sh/chart"] == "resnet-sweep-0.1.0"
            assert labels["app.kubernetes.io/version"] == "0.1.0"


def test_selectors_find_the_pods_they_mean(rendered: Rendered) -> None:
    pods = [pod["metadata"]["labels"] for _, pod in rendered.pods()]
    for document in rendered.documents:
        match document["kind"]:
            case "Service":
                wanted = document["spec"]["selector"]
            case "StatefulSet" | "Deployment" | "PodMonitor":
                wanted = document["spec"]["selector"]["matchLabels"]
            case _:
                continue
        found = [labels for labels in pods if wanted.items() <= labels.items()]
        assert [labels["app.kubernetes.io/component"] for labels in found] == [
            document["metadata"]["labels"]["app.kubernetes.io/component"]
        ]
