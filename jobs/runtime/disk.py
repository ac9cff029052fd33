"""What is said of a disk that is full."""

import contextlib
import errno
import shutil
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT}


def room_at(path: Path) -> str:
    """How many bytes are free where a path is, or would be; empty if that cannot be told."""
    with contextlib.suppress(OSError, StopIteration):
        existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        return f"{shutil.disk_usage(existing).free:,} bytes free"
    return ""
