"""A dashboard's HTTP interface, asked from here."""

import json
import urllib.error
import urllib.request
from typing import Any

from tests.support.patience import PATIENCE_SECONDS


def ask(port: int, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, json.load(answer) if path.startswith("/api") else answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
