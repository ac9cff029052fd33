"""What a watch keeps of the API server's objects, also when it is cut off or the server is away."""

from typing import Any

import pytest

from jobs.runners.kubernetes.api import ApiUnreachable
from jobs.runners.kubernetes.reflection import Reflection
from tests.support.api_server import api_server, namespace_at
from tests.support.patience import PATIENCE_SECONDS, poll
from tests.support.postgres import free_port


def pod(name: str, phase: str = "Pending") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name}, "status": {"phase": phase}}


def test_changes_are_seen_as_they_come() -> None:
    pods = [pod("a"), pod("b")]
    with api_server([], pods) as namespace:
        seen = Reflection(namespace, namespace.pods_path, "x=y", lambda item: item)

        def phases() -> dict[str, str]:
            return {item["metadata"]["name"]: item["status"]["phase"] for item in seen.objects()}

        assert phases() == {"a": "Pending", "b": "Pending"}
        pods[0]["status"]["phase"] = "Running"
        pods.append(pod("c"))
        assert poll(lambda: phases() == {"a": "Running", "b": "Pending", "c": "Pending"}, PATIENCE_SECONDS, 0.01)
        pods.remove(pods[1])
        assert poll(lambda: phases() == {"a": "Running", "c": "Pending"}, PATIENCE_SECONDS, 0.01)
        seen.close()


def test_only_what_is_asked_for_is_kept() -> None:
    with api_server([], [pod("a")]) as namespace:
        seen = Reflection(namespace, namespace.pods_path, "x=y", lambda item: {"name": item["metadata"]["name"]})
        assert seen.objects() == [{"name": "a"}]
        seen.close()


def test_a_server_that_is_away_is_told_and_its_return_is_seen() -> None:
    pods = [pod("a")]
    with api_server([], pods) as namespace:
        seen = Reflection(namespace, namespace.pods_path, "x=y", lambda item: item)
        assert len(seen.objects()) == 1
        port = namespace.location.rpartition(":")[2]

    def is_away() -> bool:
        try:
            seen.objects()
        except ApiUnreachable:
            return True
        return False

    assert poll(is_away, PATIENCE_SECONDS, 0.05)
    pods.append(pod("b"))
    with api_server([], pods, port=int(port)):
        assert poll(lambda: not is_away() and len(seen.objects()) == 2, PATIENCE_SECONDS, 0.05)
        seen.close()


def test_a_server_that_was_never_there_is_told() -> None:
    namespace = namespace_at(f"http://127.0.0.1:{free_port()}")
    seen = Reflection(namespace, namespace.pods_path, "x=y", lambda item: item)
    with pytest.raises(ApiUnreachable):
        seen.objects()
    seen.close()
