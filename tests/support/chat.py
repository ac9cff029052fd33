"""A chat's webhook, as a real HTTP server."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from pydantic import SecretStr


class Chat:
    """What was told, and the answers that are given first: a status each, 200 when there are none left."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.answers: list[int] = []
        self.silent_seconds = 0.0
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/json"
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(chat.silent_seconds)
                status = chat.answers.pop(0) if chat.answers else 200
                if status == 200:
                    chat.texts.append(message["text"])
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = SecretStr(f"http://127.0.0.1:{self._server.server_port}/secret-path")
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
