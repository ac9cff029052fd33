"""An API server of Kubernetes as far as the sweep's Jobs need one: it lists and creates Jobs, and runs no pods."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kubernetes.client

from jobs.runners.kubernetes.api import Namespace

Job = dict[str, Any]


@contextmanager
def api_server(jobs: list[Job]) -> Iterator[Namespace]:
    """The namespace that it has. A Job that is created there is appended to `jobs`; the test says how each fares."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            configmap = {"metadata": {"uid": "7"}}
            self._answer(
                200, configmap if "/configmaps/" in self.path else {"items": jobs if "/jobs" in self.path else []}
            )

        def do_POST(self) -> None:
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = len(jobs) + 1
            job["metadata"] |= {"uid": str(number), "creationTimestamp": f"2026-01-01T00:00:{number:02}Z"}
            jobs.append(job)
            self._answer(201, job)

        def _answer(self, status: int, answer: Job) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Namespace("tests", kubernetes.client.Configuration(host=f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.shutdown()
        server.server_close()
