"""An API server of Kubernetes as far as the pipeline needs one: it keeps what it is given, and runs no pods."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kubernetes.client

from jobs.runners.kubernetes.api import Namespace

Object = dict[str, Any]


@contextmanager
def api_server(jobs: list[Object], pods: list[Object] | None = None) -> Iterator[Namespace]:
    """The namespace that has these. A Job that is created is appended to `jobs`; the test says how each fares."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/configmaps/" in self.path:
                self._answer(200, {"kind": "ConfigMap", "metadata": {"uid": "7"}})
            else:
                items = jobs if "/jobs" in self.path else (pods or []) if "/pods" in self.path else []
                self._answer(200, {"kind": "List", "items": items})

        def do_POST(self) -> None:
            job, number = self._body(), len(jobs) + 1
            job["metadata"] |= {"uid": str(number), "creationTimestamp": f"2026-01-01T00:00:{number:02}Z"}
            jobs.append(job)
            self._answer(201, job)

        def do_PATCH(self) -> None:
            """Of a pod's conditions, which are merged by their types."""
            (pod,) = (pod for pod in pods or () if f"/pods/{pod['metadata']['name']}/status" in self.path)
            merged = {row["type"]: row for row in pod["status"].get("conditions", [])}
            merged |= {row["type"]: row for row in self._body()["status"]["conditions"]}
            pod["status"]["conditions"] = list(merged.values())
            self._answer(200, {"kind": "Pod", **pod})

        def _body(self) -> Object:
            body: Object = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return body

        def _answer(self, status: int, answer: Object) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield namespace_at(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def namespace_at(url: str) -> Namespace:
    configuration = kubernetes.client.Configuration(host=url)
    configuration.retries = False
    return Namespace("tests", configuration)
