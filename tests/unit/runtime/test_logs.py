import json
import logging
import threading
from collections.abc import Callable
from io import StringIO
from typing import Any, Literal

import pytest
from hypothesis import given, settings

from jobs.runtime import logs
from resnet_core.shown_text import is_shown
from tests.support.hostile import texts

log = logging.getLogger("test")


@pytest.fixture(autouse=True)
def _no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_context", {})


def written(action: Callable[[], object], log_format: Literal["text", "json"] = "json") -> str:
    """What `action` writes to the log."""
    stream = StringIO()
    handler = logs.formatted(logging.StreamHandler(stream), log_format)
    log.addHandler(handler)
    try:
        action()
    finally:
        log.removeHandler(handler)
    return stream.getvalue()


def line(message: str = "hello") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(lambda: log.warning(message)))
    return found


def test_line_has_its_context_as_fields_and_what_is_not_known_is_left_out() -> None:
    assert list(line()) == ["time", "level", "logger", "message"]
    logs.add_context(stage="sweep", study="quick", trial=None)
    with logs.context(trial=0):
        inside = line("trial 0 begins")
    del inside["time"]
    assert inside == {
        "level": "warning",
        "logger": "test",
        "stage": "sweep",
        "study": "quick",
        "trial": 0,
        "message": "trial 0 begins",
    }


def test_context_ends_with_its_block_with_all_that_was_added_in_it() -> None:
    def fail() -> None:
        with logs.context(trial=3):
            logs.add_context(epoch=1)
            assert (line()["trial"], line()["epoch"]) == (3, 1)
            raise KeyError

    logs.add_context(stage="sweep")
    with pytest.raises(KeyError):
        fail()
    assert "trial" not in line()
    assert "epoch" not in line()
    assert line()["stage"] == "sweep"


def test_function_can_have_a_context_each_time_it_is_called() -> None:
    @logs.context()
    def run(number: int) -> int:
        logs.add_context(trial=number)
        return int(line()["trial"])

    assert [run(1), run(2)] == [1, 2]
    assert "trial" not in line()


def test_threads_have_the_context_of_the_process() -> None:
    lines: list[dict[str, Any]] = []
    go = threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(), lines.append(line())))
    thread.start()
    with logs.context(trial=7):
        go.set()
        thread.join()
    assert lines[0]["trial"] == 7


def test_exception_is_a_field() -> None:
    def fail() -> None:
        try:
            {}["x"]
        except KeyError:
            log.exception("failed")

    with logs.context(epoch=2):
        found = json.loads(written(fail))
    assert (found["level"], found["epoch"]) == ("error", 2)
    assert found["exception"].endswith("KeyError: 'x'")


def test_text_has_no_fields() -> None:
    with logs.context(trial=7):
        text = written(lambda: log.warning("hello"), "text")
    assert text.split(" ", 1)[1] == "WARNING hello\n"


def fail(message: str) -> None:
    def run() -> None:
        raise ValueError(message)

    try:
        run()
    except ValueError:
        log.exception("slot %s failed", message)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts)
def test_record_of_any_text_is_a_line_of_its_own(message: str) -> None:
    text = written(lambda: log.warning("%s", message), "text")
    assert text.endswith("\n")
    assert is_shown(text[:-1])
    line = written(lambda: log.warning("%s", message))
    assert is_shown(line[:-1])
    assert json.loads(line)["message"] == message
    text.encode()
    line.encode()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(texts)
def test_exception_of_any_text_is_indented_below_its_record(message: str) -> None:
    first, second, *others = written(lambda: fail(message), "text").split("\n")
    assert " ERROR   slot " in first
    assert second == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") or not line.strip() for line in others)
    assert all(is_shown(line) for line in others)
    exception = json.loads(written(lambda: fail(message)))["exception"]
    assert exception.endswith(f"ValueError: {message}" if message else "ValueError")


def test_exception_is_indented_also_where_another_handler_has_written_it_before() -> None:
    before = logging.StreamHandler(StringIO())
    log.addHandler(before)
    try:
        assert "\n  ValueError: no\n" in written(lambda: fail("no"), "text")
    finally:
        log.removeHandler(before)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_warnings_of_another_process_are_relayed_with_its_name(
    log_format: Literal["text", "json"], caplog: pytest.LogCaptureFixture
) -> None:
    stream = StringIO()
    handler, other = logs.formatted(logging.StreamHandler(stream), log_format), logging.Logger("other")
    other.addHandler(handler)
    other.info("fine")
    other.warning("%s is full", "study.db")
    other.error("lost", exc_info=ValueError("12:00:00 ERROR not a line"))
    for line in [*stream.getvalue().splitlines(), "{", "WARNING", "[]", '{"level": 3}']:
        logs.relayed("worker 0")(line)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [("WARNING", "worker 0: study.db is full"), ("ERROR", "worker 0: lost")]
