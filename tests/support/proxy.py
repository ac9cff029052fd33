"""A man in the middle of a PostgreSQL connection, who counts statements and acts on one of them."""

import contextlib
import itertools
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Literal, NamedTuple, Self

Act = Literal["forward", "cut before", "cut after"]


class Statement(NamedTuple):
    connection: int
    text: str


class Proxy:
    """Forwards to a server on loopback. `act` is asked about every statement, with its number over all connections:

    - `forward`,
    - `cut before`: the statement is not carried out and the connection is gone,
    - `cut after`: the statement is carried out and its reply is lost with the connection.
    """

    def __init__(self, port: int, act: Callable[[int, str], Act] = lambda _number, _text: "forward") -> None:
        self._target, self._act = port, act
        self.statements: list[Statement] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in itertools.count():
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client, number), daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            self._relay(client, server, number)

    def _relay(self, client: socket.socket, server: socket.socket, connection: int) -> None:
        started = False
        while True:
            for ready in select.select([client, server], [], [])[0]:
                if ready is server:
                    data = server.recv(65536)
                    if not data:
                        return
                    client.sendall(data)
                    continue
                if not started:
                    server.sendall(_startup(client))
                    started = True
                    continue
                kind, message = _message(client)
                if kind == b"Q" and not self._statement(message, server, connection):
                    return
                if kind != b"Q":
                    server.sendall(kind + message)

    def _statement(self, message: bytes, server: socket.socket, connection: int) -> bool:
        """Forwards a statement, or acts on it; whether the connection lives on."""
        text = message[4:-1].decode(errors="replace")
        with self._lock:
            self.statements.append(Statement(connection, text))
            number = len(self.statements)
        act = self._act(number, text)
        if act == "cut before":
            return False
        server.sendall(b"Q" + message)
        if act == "cut after":
            while _message(server)[0] != b"Z":  # ready for the next: it is carried out
                pass
        return act == "forward"


def _startup(client: socket.socket) -> bytes:
    head = _exactly(client, 4)
    return head + _exactly(client, struct.unpack("!I", head)[0] - 4)


def _message(peer: socket.socket) -> tuple[bytes, bytes]:
    kind = _exactly(peer, 1)
    head = _exactly(peer, 4)
    return kind, head + _exactly(peer, struct.unpack("!I", head)[0] - 4)


def _exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data
