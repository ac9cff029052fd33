"""What is believed of answers that no API server gives: nothing."""

from collections.abc import Callable

import pytest

from jobs.runners.kubernetes.api import ApiRefused, ApiUnreachable, Namespace
from tests.support.api_server import namespace_at
from tests.support.foreign_server import PAGE, foreign_server

POD = {"metadata": {"name": "a", "uid": "3f"}}
REQUESTS: dict[str, Callable[[Namespace], object]] = {
    "list": lambda namespace: namespace.pods("a=b"),
    "events": lambda namespace: namespace.events("a"),
    "get": lambda namespace: namespace.owner_reference("a"),
    "create": lambda namespace: namespace.create_job({}),
    "adopt": lambda namespace: namespace.adopt_job("a", {}),
    "delete": lambda namespace: namespace.delete_job("a"),
    "delete pod": lambda namespace: namespace.delete_lost_pod(POD),
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "404 page not found"),
        (404, ""),
        (403, PAGE),
        (409, "{}"),
        (501, PAGE),
        (200, PAGE),
        (200, "[]"),
        (200, ""),
    ],
)
def test_answer_that_no_api_server_gives_is_an_outage(status: int, body: str) -> None:
    with foreign_server(status, body) as url:
        for request in REQUESTS.values():
            with pytest.raises(ApiUnreachable, match=rf"^{status}"):
                request(namespace_at(url))


@pytest.mark.parametrize(
    ("status", "body"), [(404, ""), (410, '{"kind": "Status"}'), (503, PAGE), (200, PAGE), (200, "[]\n")]
)
def test_watch_that_no_api_server_answers_is_an_outage(status: int, body: str) -> None:
    with foreign_server(status, body) as url:
        namespace = namespace_at(url)
        with pytest.raises(ApiUnreachable, match=rf"^{status}"):
            list(namespace.changes(namespace.pods_path, "a=b", "1"))


def test_refusal_of_an_api_server_is_one_and_shows_its_words() -> None:
    answer = '{"kind": "Status", "status": "Failure", "message": "jobs is not what it should be", "code": 422}'
    with foreign_server(422, answer) as url, pytest.raises(ApiRefused, match="422 jobs is not what it should be"):
        namespace_at(url).pods("a=b")
