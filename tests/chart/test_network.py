from typing import Any

import pytest

from tests.chart.test_pods import OF_UPGRADES, OURS, component
from tests.support.helm import Helm, Rendered

NAME_SERVERS = ("169.254.0.0/16", "pods of any namespace")
DNS = {(peer, port) for peer in NAME_SERVERS for port in (53, 5353)}
DATABASE, BUCKET = ("postgresql", 5432), ("bucket", 9000)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        expression["operator"] == "In" and labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", [])
    )


def policies_of(rendered: Rendered, labels: dict[str, str], direction: str) -> list[dict[str, Any]]:
    return [
        policy["spec"]
        for policy in rendered.kind("NetworkPolicy")
        if selects(policy["spec"]["podSelector"], labels) and direction in policy["spec"]["policyTypes"]
    ]


def peers(rule: dict[str, Any], side: str) -> list[str]:
    if not rule.get(side):  # an empty list is no restriction, too
        return ["any"]
    return [_peer(peer) for peer in rule[side]]


def _peer(peer: dict[str, Any]) -> str:
    match peer:
        case {"ipBlock": block}:
            return str(block["cidr"])
        case {"namespaceSelector": {"matchLabels": labels}}:
            return f"pods of {labels}"
        case {"namespaceSelector": {}}:
            return "pods of any namespace"
        case {"podSelector": selector}:
            return str(selector.get("matchLabels", {}).get("app.kubernetes.io/component", "namespace"))
    raise AssertionError(peer)


def egress(rendered: Rendered) -> dict[str, set[tuple[str, int]]]:
    """Where each component may go."""
    found: dict[str, set[tuple[str, int]]] = {}
    for name, pod in rendered.pods():
        policies = policies_of(rendered, pod["metadata"]["labels"], "Egress")
        assert policies, f"{name} may go anywhere"
        found[component(pod)] = {
            (peer, port["port"])
            for policy in policies
            for rule in policy["egress"]
            for peer in peers(rule, "to")
            for port in rule["ports"] or [{"port": 0}]  # an empty list is no restriction, too
        }
    return found


def test_workers_reach_names_database_and_bucket_alone(defaults: Rendered) -> None:
    allowed = egress(defaults)
    for name in OURS - OF_UPGRADES - {"pipeline"}:
        assert allowed[name] == DNS | {DATABASE, BUCKET}, name
    assert allowed["pipeline"] == DNS | {DATABASE, BUCKET, ("any", 443), ("any", 6443)}
    assert allowed["postgresql"] == allowed["bucket"] == set()


@pytest.mark.parametrize(
    ("data", "downloads"),
    [
        ({"source": "cifar10"}, True),
        ({"source": "cifar100"}, True),
        ({"source": "cifar10", "path": "/data"}, False),
        ({"source": "imagefolder", "path": "/data"}, False),
        ({"source": "digits"}, False),
    ],
)
def test_only_a_download_leaves_the_cluster(helm: Helm, data: dict[str, str], downloads: bool) -> None:
    allowed = egress(helm.render(values={"experiment": {"data": data}}))
    assert (("any", 443) in allowed["prepare"]) == downloads
    assert ("any", 443) not in allowed["sweep"]


def test_own_services_have_their_addresses(everything: Rendered) -> None:
    allowed = egress(everything)
    database, bucket = {("10.1.0.0/16", 6432)}, {("10.2.0.0/16", 9443), ("fd00::/8", 9443)}
    assert allowed["sweep"] == DNS | database | bucket
    assert allowed["pipeline"] == DNS | database | bucket | {("10.3.0.1/32", 6443), ("any", 8443)}
    assert allowed["dashboard"] == DNS | database


def test_the_dashboard_reaches_the_database_and_is_reached_from_the_namespace(watched: Rendered) -> None:
    assert egress(watched)["dashboard"] == DNS | {DATABASE}
    (policy,) = policies_of(watched, _labels(watched, "dashboard"), "Ingress")
    assert policy["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 8080}]}]


def test_metrics_are_read_from_anywhere_where_they_are_served(defaults: Rendered, everything: Rendered) -> None:
    def reached_by(rendered: Rendered) -> list[dict[str, Any]]:
        policies = policies_of(rendered, _labels(rendered, "pipeline"), "Ingress")
        return [rule for policy in policies for rule in policy["ingress"]]

    assert reached_by(defaults) == []
    assert reached_by(everything) == [{"ports": [{"protocol": "TCP", "port": 9465}]}]
    (monitor,) = everything.kind("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (pipeline,) = [pod for _, pod in everything.pods() if component(pod) == "pipeline"]
    (port,) = pipeline["spec"]["containers"][0]["ports"]
    assert (port["name"], port["containerPort"]) == (endpoint["port"], 9465)
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("", 443),
        ("https://s3.example", 443),
        ("http://s3.example", 80),
        ("https://s3.example:9000/", 9000),
        ("http://[fd00::1]:9000", 9000),
    ],
)
def test_the_bucket_s_port_is_that_of_its_address(helm: Helm, endpoint: str, port: int) -> None:
    policy = {"storage": {"cidrs": ["10.2.0.0/16"]}}
    values = {"storage": {"url": "s3://bucket", "endpoint": endpoint}, "networkPolicy": policy}
    assert egress(helm.render(values=values))["sweep"] == DNS | {DATABASE, ("10.2.0.0/16", port)}


def test_no_worker_reaches_just_any_address(rendered: Rendered) -> None:
    allowed = egress(rendered)
    for name in {"sweep", "final-train", "evaluate", "test", "upgrade"} & set(allowed):
        assert {peer for peer, _ in allowed[name]}.isdisjoint({"any", "0.0.0.0/0", "::/0"}), name


def test_services_of_one_s_own_can_be_pods(helm: Helm) -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "databases"}}
    policy = {"database": {"pods": [{"namespaceSelector": selector, "podSelector": {"matchLabels": {"app": "pg"}}}]}}
    rendered = helm.render(values={"database": {"existingSecret": "database"}, "networkPolicy": policy})
    assert egress(rendered)["sweep"] == DNS | {BUCKET, (f"pods of {selector['matchLabels']}", 5432)}
    (sweep,) = (row for row in rendered.kind("NetworkPolicy") if row["metadata"]["name"] == "run1-processes")
    assert policy["database"]["pods"] in [rule["to"] for rule in sweep["spec"]["egress"]]


def test_any_address_has_to_be_asked_for(helm: Helm) -> None:
    policy = {"storage": {"cidrs": ["0.0.0.0/0", "::/0"]}}
    rendered = helm.render(values={"storage": {"url": "s3://bucket"}, "networkPolicy": policy})
    assert egress(rendered)["sweep"] == DNS | {DATABASE, ("0.0.0.0/0", 443), ("::/0", 443)}


def test_name_servers_can_be_named(helm: Helm) -> None:
    policy = {"dns": {"cidrs": ["10.0.0.10/32"], "pods": [], "ports": [53]}}
    allowed = egress(helm.render(values={"networkPolicy": policy}))
    assert allowed["sweep"] == {("10.0.0.10/32", 53), DATABASE, BUCKET}


def test_nothing_comes_in_but_to_the_services(defaults: Rendered, everything: Rendered, watched: Rendered) -> None:
    for rendered in (defaults, everything, watched):
        for name, pod in rendered.pods():
            policies = policies_of(rendered, pod["metadata"]["labels"], "Ingress")
            assert policies, f"{name} is open"
            if component(pod) in OURS and not (component(pod) == "pipeline" and rendered is everything):
                assert all(policy["ingress"] == [] for policy in policies), name
    for service, clients in (("postgresql", OURS | {"dashboard"}), ("bucket", OURS)):
        (policy,) = policies_of(defaults, {**_labels(defaults, service)}, "Ingress")
        (rule,) = policy["ingress"]
        (selector,) = (peer["podSelector"] for peer in rule["from"])
        (expression,) = selector["matchExpressions"]
        assert set(expression["values"]) == clients
        assert selector["matchLabels"]["app.kubernetes.io/instance"] == "run1"


def test_policies_can_be_left_out(helm: Helm) -> None:
    assert helm.render("--set=networkPolicy.enabled=false").kind("NetworkPolicy") == []


def _labels(rendered: Rendered, name: str) -> dict[str, str]:
    (found,) = (pod["metadata"]["labels"] for _, pod in rendered.pods() if component(pod) == name)
    return dict(found)
