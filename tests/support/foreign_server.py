"""A server that is neither S3 nor Kubernetes: it answers all requests alike, as a proxy does whose service is away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jobs.artifacts.s3 import S3Artifacts, make_client
from jobs.runtime.settings import read_settings

PAGE = "<!DOCTYPE html><html><head><title>Sorry</title></head><body><p>back soon</body></html>"
XHTML = "<html><head><title>Sorry</title></head><body><p>back soon</p></body></html>"


@contextmanager
def foreign_server(status: int, body: str = "") -> Iterator[str]:
    """Its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - so that http.server finds them

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def bucket_at(endpoint: str, addressing: str = "path") -> S3Artifacts:
    """The artifacts of a bucket at an endpoint, which nobody has asked anything yet."""
    settings = read_settings(
        database_url="sqlite:///",
        artifacts_url="s3://sweeps",
        aws_endpoint_url=endpoint,
        aws_access_key_id="id",
        aws_secret_access_key="key",
        s3_addressing=addressing,
    )
    return S3Artifacts(make_client(settings), "sweeps", "study")


@contextmanager
def foreign_bucket(status: int, body: str = "") -> Iterator[S3Artifacts]:
    """The artifacts of a bucket at such a server."""
    with foreign_server(status, body) as url:
        yield bucket_at(url)
