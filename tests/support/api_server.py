"""An API server of Kubernetes as far as the pipeline needs one: it keeps what it is given, and runs no pods."""

import base64
import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes.client

from jobs.runners.kubernetes.api import Namespace

Object = dict[str, Any]
Snapshot = dict[str, Object]

CREATED = "2026-01-01T12:00:00Z"  # of what is not said when it was created


@contextmanager
def api_server(
    jobs: list[Object],
    pods: list[Object] | None = None,
    secrets: dict[str, Object] | None = None,
    port: int = 0,
    events_asked: list[str] | None = None,
) -> Iterator[Namespace]:
    """The namespace that has these, Secrets by their names.

    What is created is added to them, and what is deleted is taken away; the test says how each Job fares. The path of
    each request for events is added to `events_asked`.
    """
    pods, secrets = [] if pods is None else pods, {} if secrets is None else secrets
    versions: list[Snapshot] = []
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/configmaps/" in self.path:
                self._answer(200, {"kind": "ConfigMap", "metadata": {"uid": "7"}})
            elif "/secrets/" in self.path:
                found = secrets.get(self._name())
                self._answer(200 if found else 404, found or {"kind": "Status", "message": "not found"})
            elif "/events" in self.path:
                if events_asked is not None:
                    events_asked.append(self.path)
                self._answer(200, {"kind": "List", "items": []})
            else:
                items, asked = (jobs if "/jobs" in self.path else pods), parse_qs(urlsplit(self.path).query)
                if "watch" in asked:
                    self._watch(items, versions[int(asked["resourceVersion"][0])])
                else:
                    self._list(items, asked)

        def _list(self, items: list[Object], asked: dict[str, list[str]]) -> None:
            """A page, of the same moment as the first one."""
            version, _, start = asked.get("continue", [""])[0].partition("/")
            if not version:
                versions.append(snapshot(items))
                version = str(len(versions) - 1)
            rows, first = list(versions[int(version)].values()), int(start or 0)
            last = first + int(asked["limit"][0])
            onward = f"{version}/{last}" if last < len(rows) else ""
            metadata = {"resourceVersion": version, "continue": onward}
            self._answer(200, {"kind": "List", "metadata": metadata, "items": rows[first:last]})

        def _watch(self, items: list[Object], last: Snapshot) -> None:
            """What changes, from that snapshot on, until the server is closed."""
            self.send_response(200)
            self.end_headers()
            while not closing.wait(0.01):
                now = snapshot(items)
                changes = [("MODIFIED", item) for uid, item in now.items() if last.get(uid) != item]
                changes += [("DELETED", item) for uid, item in last.items() if uid not in now]
                if changes:
                    versions.append(now)
                    for kind, item in changes:
                        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(len(versions) - 1)}}
                        self.wfile.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
                last = now

        def do_POST(self) -> None:
            if self.path.endswith("/secrets"):
                self._create_secret(self._body())
                return
            job, number = self._body(), len(jobs) + 1
            job["metadata"] |= {"uid": str(number), "creationTimestamp": f"2026-01-01T00:00:{number:02}Z"}
            job["status"] = {}
            jobs.append(job)
            self._answer(201, job)

        def _create_secret(self, secret: Object) -> None:
            name, data = secret["metadata"]["name"], secret.pop("stringData")
            if name in secrets:
                self._answer(409, {"kind": "Status", "message": "already exists"})
                return
            secret["data"] = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
            secret["metadata"] |= {"creationTimestamp": CREATED, "uid": f"uid of {name}"}
            secrets[name] = secret
            self._answer(201, secret)

        def do_DELETE(self) -> None:
            items = jobs if "/jobs/" in self.path else pods
            (gone,) = (item for item in items if item["metadata"]["name"] == self._name())
            items.remove(gone)
            self._answer(200, {"kind": "Status"})

        def do_PATCH(self) -> None:
            """Of a pod's annotations and conditions, which are merged by their types, or of a Job's owners."""
            if "/jobs/" in self.path:
                (job,) = (job for job in jobs if job["metadata"]["name"] == self._name())
                job["metadata"] |= self._body()["metadata"]
                self._answer(200, {"kind": "Job", **job})
                return
            (pod,) = (pod for pod in pods if f"/pods/{pod['metadata']['name']}/status" in self.path)
            body, status = self._body(), pod.setdefault("status", {})
            pod["metadata"]["annotations"] = pod["metadata"].get("annotations", {}) | body["metadata"]["annotations"]
            merged = {row["type"]: row for row in status.get("conditions", [])}
            merged |= {row["type"]: row for row in body["status"].get("conditions", [])}
            status["conditions"] = list(merged.values())
            self._answer(200, {"kind": "Pod", **pod})

        def _name(self) -> str:
            return self.path.partition("?")[0].rpartition("/")[2]

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

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield namespace_at(f"http://127.0.0.1:{server.server_port}")
    finally:
        closing.set()
        server.shutdown()
        server.server_close()


def snapshot(items: list[Object]) -> Snapshot:
    """Copies by uid, although a test changes the items meanwhile."""
    while True:
        try:
            return {item["metadata"]["uid"]: copy.deepcopy(item) for item in list(items)}
        except RuntimeError:  # a dict has changed its size
            continue


def namespace_at(url: str) -> Namespace:
    configuration = kubernetes.client.Configuration(host=url)
    configuration.retries = False
    return Namespace("tests", configuration)
