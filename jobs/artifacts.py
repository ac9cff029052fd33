"""Files that outlive a process, by key. An object becomes visible only whole."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Artifacts:
    """A folder of objects; keys use `/` whatever the system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def under(self, prefix: str) -> "Artifacts":
        return Artifacts(self.root / prefix)

    def exists(self, key: str) -> bool:
        return (self.root / key).is_file()

    def listing(self, prefix: str = "") -> list[str]:
        """The keys that begin with the folder `prefix`, sorted, without half-written ones."""
        files = (path for path in (self.root / prefix).rglob("*") if path.is_file() and ".partial-" not in path.name)
        return sorted(path.relative_to(self.root).as_posix() for path in files)

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A file to write; it becomes the object when the block ends well, and is gone when it does not."""
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
        try:
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def reading(self, key: str) -> Iterator[Path]:
        """The object as a local file."""
        yield self.root / key

    def write_text(self, key: str, text: str) -> None:
        with self.writing(key) as path:
            path.write_text(text, encoding="utf-8")

    def read_text(self, key: str) -> str:
        with self.reading(key) as path:
            return path.read_text(encoding="utf-8")

    def write_json(self, key: str, value: Any) -> None:
        self.write_text(key, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, key: str) -> Any:
        return json.loads(self.read_text(key))

    def remove(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def sha256(self, key: str) -> str:
        with self.reading(key) as path, path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def size(self, key: str) -> int:
        return (self.root / key).stat().st_size
