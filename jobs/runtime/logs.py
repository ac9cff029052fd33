"""Log lines: plain text or JSON, on the standard error stream and with the results."""

import json
import logging
import sys
import time
from typing import Literal

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
    logging.basicConfig(level=level, handlers=[formatted(logging.StreamHandler(sys.stderr), log_format)])
    logging.captureWarnings(capture=True)
    for chatty in ("botocore", "onnx_ir", "onnxscript"):  # where credentials were found, what an export has rewritten
        logging.getLogger(chatty).setLevel(logging.WARNING)


def formatted(handler: logging.Handler, log_format: Literal["text", "json"]) -> logging.Handler:
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    return handler
