"""Log lines: plain text or JSON, on the standard error stream and with the results."""

import contextlib
import json
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from jobs.artifacts import Artifacts, ArtifactsRefused, ArtifactsUnreachable

PUBLISH_SECONDS = 30

log = logging.getLogger(__name__)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(log_format: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Log lines of this process go to the standard error stream from now on."""
    logging.basicConfig(level=level, handlers=[_formatted(logging.StreamHandler(sys.stderr), log_format)])
    logging.captureWarnings(capture=True)
    for chatty in ("botocore", "onnx_ir", "onnxscript"):  # where credentials were found, what an export has rewritten
        logging.getLogger(chatty).setLevel(logging.WARNING)


class KeptLog:
    """The lines of this process as an object beside the results, since a pod's log goes with the pod."""

    def __init__(self, artifacts: Artifacts, key: str, log_format: Literal["text", "json"]) -> None:
        self._artifacts, self._key = artifacts, key
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "log"
        self._handler = _formatted(logging.FileHandler(self._file, encoding="utf-8"), log_format)
        self._published = 0
        logging.getLogger().addHandler(self._handler)

    def publish(self) -> None:
        """Writes the object anew if there are new lines. A log that cannot be written stops nothing."""
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
        """Publishes now and then while the block runs."""
        closed = threading.Event()

        def now_and_then() -> None:
            while not closed.wait(PUBLISH_SECONDS):
                self.publish()

        thread = threading.Thread(target=now_and_then, name="log", daemon=True)
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


def _formatted(handler: logging.Handler, log_format: Literal["text", "json"]) -> logging.Handler:
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    return handler
