"""What a chat is told of a run."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from jobs.runtime import webhook
from jobs.runtime.errors import Failure
from jobs.runtime.interrupt import Interrupted
from jobs.runtime.webhook import told
from tests.support.chat import Chat

log = logging.getLogger("jobs")


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setattr(webhook, "PAUSE_SECONDS", 0.01)
    chat = Chat()
    yield chat
    chat.close()


def test_end_is_told_with_the_study_s_name(chat: Chat) -> None:
    with told(chat.url, "run1") as tell:
        tell("test accuracy 98.8 % on <3 & more>")
    assert chat.texts == ["run1: test accuracy 98.8 % on &lt;3 &amp; more&gt;"]


def test_failure_is_told_and_raised(chat: Chat) -> None:
    with pytest.raises(Failure, match=r"^no such bucket$"), told(chat.url, "run1"):
        raise Failure("no such bucket")
    assert chat.texts == ["run1: failed: no such bucket"]


def test_interruption_is_nobody_s_trouble(chat: Chat) -> None:
    with pytest.raises(Interrupted), told(chat.url, "run1"):
        raise Interrupted
    assert chat.texts == []


def test_warnings_are_told_and_many_of_them_counted(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "WARNING_SECONDS", 0.3)
    with told(chat.url, "run1"):
        log.info("fine")
        log.warning("%s is full", "study.db")
        for _ in range(3):
            log.error("it still is")
        time.sleep(0.4)
        log.error("again")
    log.warning("after the end")
    assert chat.texts == ["run1: warning: study.db is full", "run1: error: again (3 more warnings before)"]


def test_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.answers = [503, 429, 200, 404, 200]
    with told(chat.url, "run1") as tell:
        for text in ("one", "two", "three"):
            tell(text)
    assert chat.texts == ["run1: one", "run1: three"]
    assert [record.getMessage() for record in caplog.records] == [
        "the webhook of NOTIFY_URL was not told: HTTP Error 404: Not Found"
    ]


def test_server_that_is_not_there_changes_nothing_and_its_address_stays_secret(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = SecretStr(f"http://127.0.0.1:{free.getsockname()[1]}/secret-path")
        with told(url, "run1") as tell:
            tell("one")
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("the webhook of NOTIFY_URL was not told: ")
    assert "secret-path" not in message


def test_nobody_waits_for_a_slow_server(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    chat.silent_seconds = 3
    monkeypatch.setattr(webhook, "LAST_SECONDS", 0.05)
    began = time.monotonic()
    with told(chat.url, "run1") as tell:
        tell("one")
    assert time.monotonic() - began < 2


def test_without_an_address_nothing_is_told() -> None:
    handlers = list(logging.getLogger().handlers)
    with told(None, "run1") as tell:
        tell("one")
        log.warning("two")
        assert logging.getLogger().handlers == handlers
