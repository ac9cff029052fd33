"""Where ranks of one machine meet. Imports no torch."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

HERE = "127.0.0.1"


@contextmanager
def free_port() -> Iterator[int]:
    """A port for the first rank. It stays bound here, without listening, so that no other program is given it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HERE, 0))
        yield held.getsockname()[1]
