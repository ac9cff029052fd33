"""The name of a process, under which it holds claims."""

import os
import re
import secrets
import socket


def owner_identity(index: int | None = None) -> str:
    """A new name for this process. No other process has it, not even a later one with the same process number.

    Args:
        index: the number of this worker among those on its host. Kubernetes has it in the name of the host already.

    """
    return f"{workplace_here(index)}-{os.getpid()}-{secrets.token_hex(3)}"


def workplace_here(index: int | None = None) -> str:
    """The name of what outlives this process: the worker that is started anew on the same device when one has ended."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    return host if index is None or host.endswith(f"-{index}") else f"{host}-{index}"


def workplace(owner: str) -> str:
    """The workplace in the name of an owner."""
    return owner.rsplit("-", 2)[0]
