"""The log of a stage, kept with the results, since Kubernetes deletes a pod's log with the pod."""

import contextlib
import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from jobs.artifacts.base import Artifacts, ArtifactsRefused, ArtifactsUnreachable
from jobs.runtime.logs import formatted

PUBLISH_SECONDS = 30

log = logging.getLogger(__name__)


class StageLog:
    def __init__(self, artifacts: Artifacts, key: str, log_format: Literal["text", "json"]) -> None:
        self._artifacts, self._key = artifacts, key
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "log"
        self._handler = formatted(logging.FileHandler(self._file, encoding="utf-8"), log_format)
        self._published = 0
        logging.getLogger().addHandler(self._handler)

    def publish(self) -> None:
        """Writes the object again if there are new lines. If that fails, the stage goes on all the same."""
        text = self._file.read_text(encoding="utf-8")
        if len(text) == self._published:
            return
        try:
            self._artifacts.write_text(self._key, text)
            self._published = len(text)
        except (ArtifactsUnreachable, ArtifactsRefused) as error:
            log.debug("log not kept: %s", error)

    @contextlib.contextmanager
    def published(self) -> Iterator[None]:
        """Publishes every half minute while the block runs."""
        closed = threading.Event()

        def publish_regularly() -> None:
            while not closed.wait(PUBLISH_SECONDS):
                self.publish()

        thread = threading.Thread(target=publish_regularly, name="log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            closed.set()
            thread.join()

    def close(self) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        self._folder.cleanup()
