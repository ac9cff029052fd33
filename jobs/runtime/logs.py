"""Log lines: plain text or JSON, on the standard error stream and with the results."""

import logging
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any, Literal

from resnet_core.shown_text import json_text, visible, visible_lines
from resnet_core.validation import parse_json

SERIOUS = (logging.WARNING, logging.ERROR, logging.CRITICAL)
LINE = re.compile(r"\d\d:\d\d:\d\d (?P<level>WARNING|ERROR|CRITICAL)\s+(?P<message>.*)")

_context: dict[str, object] = {}  # a process does one thing at a time, so that all its threads share this


def add_context(**fields: object) -> None:
    """From now on every JSON line of this process has these fields, unless they are None."""
    global _context  # noqa: PLW0603 - replaced, never changed, because other threads may be reading it
    _context = {**_context, **fields}


@contextmanager
def context(**fields: object) -> Iterator[None]:
    """JSON lines have these fields, and all that are added in the block, until the block ends."""
    global _context  # noqa: PLW0603
    before = _context
    add_context(**fields)
    try:
        yield
    finally:
        _context = before


class TextFormatter(logging.Formatter):
    """A line a record, and below it the lines of its exception, indented: no text can pass for another record."""

    def format(self, record: logging.LogRecord) -> str:
        own = copy(record)
        own.exc_text = None  # another formatter keeps its text of the exception here
        return super().format(own)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - these names are logging's
        return visible(super().formatMessage(record).rstrip())

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    return textwrap.indent(visible_lines(text), "  ")


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            **{name: value for name, value in _context.items() if value is not None},
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json_text(line)


def relayed(name: str) -> Callable[[str], None]:
    """Has the warnings among another of our processes' lines in this one's log, too, with its name.

    Where the disk is full, the other process has no room for a log of its own.
    """

    def relay(line: str) -> None:
        found = _warning_in(line)
        if found is not None:
            logging.getLogger(__name__).log(found[0], "%s: %s", name, found[1])

    return relay


def _warning_in(line: str) -> tuple[int, str] | None:
    """Level and message of a line that another of our processes has logged, where it is a warning or worse."""
    with suppress(ValueError):
        found = parse_json(line) if line.startswith("{") else {}
        if isinstance(found, dict) and "level" in found:
            level = logging.getLevelName(str(found["level"]).upper())
            return (level, str(found.get("message"))) if level in SERIOUS else None
    match = LINE.match(line)
    return (getattr(logging, match["level"]), match["message"]) if match else None


def configure(log_format: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Log lines of this process go to the standard error stream from now on."""
    logging.basicConfig(level=level, handlers=[formatted(logging.StreamHandler(sys.stderr), log_format)])
    logging.captureWarnings(capture=True)
    for chatty in (
        "botocore",
        "onnx_ir",
        "onnxscript",
    ):  # they tell where credentials were found, how a model is exported
        logging.getLogger(chatty).setLevel(logging.WARNING)


def formatted(handler: logging.Handler, log_format: Literal["text", "json"]) -> logging.Handler:
    text = TextFormatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    return handler
