"""Log lines: plain text or JSON, on the standard error stream and in a file with the results."""

import json
import logging
import sys
import time
from pathlib import Path
from typing import Literal


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


def configure(log_format: Literal["text", "json"]) -> None:
    """Log lines of this process go to the standard error stream from now on."""
    logging.basicConfig(level=logging.INFO, handlers=[_formatted(logging.StreamHandler(sys.stderr), log_format)])
    logging.captureWarnings(capture=True)


def keep(file: Path, log_format: Literal["text", "json"]) -> None:
    """The lines from now on are also added to a file beside the results."""
    file.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addHandler(_formatted(logging.FileHandler(file, encoding="utf-8"), log_format))


def _formatted(handler: logging.Handler, log_format: Literal["text", "json"]) -> logging.Handler:
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    return handler
