"""A chat that is told of a run: how it ends, and that something is wrong in between."""

import contextlib
import html
import logging
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from pydantic import SecretStr

from jobs.runtime.interrupt import Interrupted
from resnet_core.shown_text import json_text

TRIES, PAUSE_SECONDS, TIMEOUT_SECONDS = 3, 1.0, 10
LAST_SECONDS = 30  # that a process waits at its end for what is still to be told
WARNING_SECONDS = 600  # between two warnings; those in between are counted

log = logging.getLogger(__name__)

Tell = Callable[[str], None]


@contextlib.contextmanager
def told(url: SecretStr | None, study: str) -> Iterator[Tell]:
    """Tells the webhook of warnings in the block and of the exception that ends it, and yields what tells it more.

    Messages are JSON with a `text`, as Slack, Mattermost and others take them. One that cannot be sent is a warning in
    the log and changes nothing else. Without a URL nothing is told.
    """
    if url is None:
        yield lambda _text: None
        return
    webhook = _Webhook(url.get_secret_value(), study)
    handler = _Warnings(webhook.tell)
    logging.getLogger().addHandler(handler)
    try:
        yield webhook.tell
    except Interrupted:  # whoever has asked for it knows, and the run goes on when it is started again
        raise
    except Exception as error:
        webhook.tell(f"failed: {error}")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        webhook.close()


class _Webhook:
    """Sends from a thread of its own, so that nobody waits for a slow server."""

    def __init__(self, url: str, study: str) -> None:
        self._url, self._study = url, study
        self._texts: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        self._thread.start()

    def tell(self, text: str) -> None:
        self._texts.put(f"{self._study}: {text}")

    def close(self) -> None:
        self._texts.put(None)
        self._thread.join(LAST_SECONDS)

    def _send_all(self) -> None:
        while (text := self._texts.get()) is not None:
            self._send(text)

    def _send(self, text: str) -> None:
        # Slack wants these three letters of HTML escaped; to others they say the same.
        body = json_text({"text": html.escape(text, quote=False)}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        for attempt in range(1, TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                    return
            except OSError as error:  # of which URLError is one; its text never has the URL, which is a secret
                refused = isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429
                if refused or attempt == TRIES:
                    log.warning("the webhook of NOTIFY_URL was not told: %s", error)
                    return
            time.sleep(PAUSE_SECONDS * attempt)


class _Warnings(logging.Handler):
    """Tells the first warning at once, and then one at most each WARNING_SECONDS, with how many there were between."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell, self._told, self._left_out = tell, float("-inf"), 0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if record.name == __name__:  # of this webhook
            return
        if now - self._told < WARNING_SECONDS:
            self._left_out += 1
            return
        more = f" ({self._left_out} more warnings before)" if self._left_out else ""
        self._told, self._left_out = now, 0
        self._tell(f"{record.levelname.lower()}: {record.getMessage()}{more}")
