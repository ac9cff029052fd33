"""What is believed of answers that no S3 server gives: nothing."""

import logging
from collections.abc import Callable

import pytest

from jobs.artifacts import Artifacts, ArtifactsUnreachable
from jobs.artifacts.s3 import TRANSFER
from jobs.artifacts.stage_log import StageLog
from tests.support.foreign_server import PAGE, XHTML, bucket_at, foreign_bucket, foreign_server

ERROR = "<Error><Code>{}</Code><Message>told</Message></Error>"
LARGE = TRANSFER.multipart_threshold + 1


def write_large(artifacts: Artifacts) -> None:
    artifacts.write("a.txt", lambda path: path.write_bytes(bytes(LARGE)))


REQUESTS: dict[str, Callable[[Artifacts], object]] = {
    "exists": lambda artifacts: artifacts.exists("a.txt"),
    "read": lambda artifacts: artifacts.read_text("a.txt"),
    "listing": lambda artifacts: artifacts.listing(),
    "write": lambda artifacts: artifacts.write_text("a.txt", "new"),
    "write in parts": write_large,
    "remove": lambda artifacts: artifacts.remove("a.txt"),
}


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, ""), (404, PAGE), (404, XHTML), (403, PAGE), (400, ""), (302, PAGE), (501, PAGE), (501, "")],
)
def test_error_that_no_s3_server_gives_is_an_outage(status: int, body: str) -> None:
    with foreign_bucket(status, body) as artifacts:
        for request in REQUESTS.values():
            with pytest.raises(ArtifactsUnreachable, match=rf"^s3://sweeps/study.*: {status} "):
                request(artifacts)


@pytest.mark.parametrize("body", [PAGE, XHTML, ""])
def test_page_in_place_of_the_answer_is_an_outage(body: str) -> None:
    with foreign_bucket(200, body) as artifacts:
        for name in REQUESTS.keys() - {"remove"}:  # whose answer is empty
            with pytest.raises(ArtifactsUnreachable, match=r"^s3://sweeps/study"):
                REQUESTS[name](artifacts)


def test_object_is_missing_only_where_a_server_of_s3_says_so() -> None:
    with foreign_bucket(404, ERROR.format("NoSuchKey")) as artifacts:
        assert not artifacts.exists("a.txt")
        with pytest.raises(FileNotFoundError, match=r"s3://sweeps/study/a.txt: not there"):
            artifacts.read_text("a.txt")


def test_log_that_cannot_be_kept_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with foreign_bucket(404) as artifacts:
        log = StageLog(artifacts, "logs/pipeline.log", "text")
        try:
            logging.getLogger("tests").warning("something to keep")
            log.publish()
        finally:
            log.close()
    assert "log not kept: s3://sweeps/study/logs/pipeline.log: 404 Not Found" in caplog.text


@pytest.mark.parametrize(("status", "doubtful"), [(200, True), (404, True), (501, True), (502, False), (503, False)])
def test_page_may_come_from_a_wrong_endpoint_and_a_proxy_s_error_from_an_outage(status: int, doubtful: bool) -> None:
    with foreign_bucket(status, PAGE) as artifacts, pytest.raises(ArtifactsUnreachable) as raised:
        artifacts.listing()
    assert raised.value.doubtful is doubtful


def test_host_that_does_not_exist_and_endpoint_without_tls_may_be_mistakes() -> None:
    with pytest.raises(ArtifactsUnreachable, match=r": no host [a-z.]*minio\.invalid is known here$") as raised:
        bucket_at("http://minio.invalid:9000", "auto").listing()
    assert raised.value.doubtful
    with foreign_server(200, PAGE) as url, pytest.raises(ArtifactsUnreachable, match="an answer without TLS") as raised:
        bucket_at(url.replace("http:", "https:")).listing()
    assert raised.value.doubtful


def test_service_that_does_not_listen_is_away() -> None:
    with pytest.raises(ArtifactsUnreachable) as raised:
        bucket_at("http://127.0.0.1:1").listing()
    assert not raised.value.doubtful
