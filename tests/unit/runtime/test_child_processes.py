"""Real processes: a package `jobs` in the working directory, found before ours, runs the code it is given."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.runtime.child_processes import ChildProcess, ChildProcesses, shell_exit_code
from tests.support.patience import PATIENCE_SECONDS, until

Start = Callable[[ChildProcesses, int, str], ChildProcess]

JOBS = """
import os, signal, sys, time

def tell():
    with open("told", "w") as told:
        told.write(".")

exec(sys.argv[1])
"""
OBEDIENT = "tell(); signal.pause()"
DEAF = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"
AWAIT_SIGTERM = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); tell(); signal.sigwait({signal.SIGTERM}); "


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Waits until a child calls `tell`."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/__init__.py").touch()
    (tmp_path / "jobs/__main__.py").write_text(JOBS)
    os.mkfifo(tmp_path / "told")
    monkeypatch.chdir(tmp_path)
    pipe = os.open("told", os.O_RDWR)

    def told() -> None:
        assert select.select([pipe], [], [], 60)[0]
        os.read(pipe, 1)

    yield told
    os.close(pipe)


@pytest.fixture
def start(told: Callable[[], None]) -> Start:
    """Returns once the child has told that it is ready."""

    def start(children: ChildProcesses, index: int, code: str) -> ChildProcess:
        child = children.start(index, [code], {})
        told()
        return child

    return start


@pytest.fixture
def children(told: object, tmp_path: Path) -> Iterator[ChildProcesses]:
    with ChildProcesses(60, tmp_path / "heartbeats") as children:
        yield children
        for child in children.running.values():
            child.kill()


@pytest.mark.parametrize(
    ("code", "returncode", "exit_code"),
    [("pass", 0, 0), ("sys.exit(75)", 75, 75), ("os.kill(os.getpid(), signal.SIGKILL)", -9, 137)],
)
def test_child_that_has_ended_is_taken_once(
    children: ChildProcesses, code: str, returncode: int, exit_code: int
) -> None:
    child = children.start(3, [code], {})
    child.wait(PATIENCE_SECONDS)
    assert children.running == {3: child}
    assert children.take_ended() == {3: child}
    assert (child.returncode, shell_exit_code(child.returncode)) == (returncode, exit_code)
    assert children.running == children.take_ended() == {}


def test_child_that_runs_is_not_taken(children: ChildProcesses, start: Start) -> None:
    child = start(children, 0, OBEDIENT)
    assert children.take_ended() == {}
    assert children.running == {0: child}


def test_child_has_our_environment_with_its_changes(
    children: ChildProcesses, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THREADS", "8")
    monkeypatch.setenv("DEVICE", "cpu")
    code = "print(os.environ['THREADS'], os.environ['DEVICE'], sys.stdin.read())"
    children.start(0, [code], {"THREADS": 2}).wait(PATIENCE_SECONDS)
    assert capfd.readouterr().out == "2 cpu \n"


def test_errors_are_kept_only_if_asked(children: ChildProcesses, capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    shown = children.start(0, ["print('shown', file=sys.stderr)"], {})
    kept = children.start(1, ["print('kept ä', file=sys.stderr)"], {}, lines.append)
    for child in (shown, kept):
        child.wait(PATIENCE_SECONDS)
    assert children.take_ended() == {0: shown, 1: kept}
    assert (shown.error_text, kept.error_text) == ("", "kept ä\n")
    assert lines == ["kept ä"]
    assert capfd.readouterr().err == "shown\n"


def test_lines_come_while_the_process_runs_and_the_last_of_many_are_kept(children: ChildProcesses) -> None:
    lines: list[str] = []
    code = "print('now', file=sys.stderr, flush=True); sys.stdin.read(); time.sleep(0.1)"
    code += "; print('\\n'.join(map(str, range(5000))), file=sys.stderr); time.sleep(3600)"
    child = children.start(0, [code], {}, lines.append)
    until(lambda: lines[:1] == ["now"] and lines[-1] == "4999")
    child.kill()
    child.wait(PATIENCE_SECONDS)
    children.take_ended()
    assert child.error_text.split() == [str(n) for n in range(4000, 5000)]


def test_stop_asks_and_returns_those_that_obey(children: ChildProcesses, start: Start) -> None:
    saving, obedient = start(children, 0, f"{AWAIT_SIGTERM} sys.exit(75)"), start(children, 1, OBEDIENT)
    assert children.stop() == {0: saving, 1: obedient}
    assert (saving.returncode, obedient.returncode) == (75, -signal.SIGTERM)
    assert children.running == {}


def test_stop_kills_those_that_do_not_obey_and_does_not_return_them(start: Start) -> None:
    with ChildProcesses(0.1, None) as children:
        deaf = start(children, 0, DEAF)
        assert children.stop() == {}
        assert deaf.returncode == -signal.SIGKILL
        assert children.running == {}


def test_no_child_outlives_the_block_however_it_ends(start: Start) -> None:
    started = []

    def fail() -> None:
        with ChildProcesses(0.1, None) as children:
            started.append(start(children, 0, DEAF))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [child.returncode for child in started] == [-signal.SIGKILL]


def test_sigterm_is_sent_once(children: ChildProcesses, start: Start, told: Callable[[], None]) -> None:
    count = "tell(); signal.sigwait({signal.SIGUSR1}); sys.exit(signal.SIGTERM in signal.sigpending())"
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); "
    child = start(children, 0, block + AWAIT_SIGTERM + count)
    children.terminate()
    told()
    children.terminate()
    child.send_signal(signal.SIGUSR1)
    assert child.wait(PATIENCE_SECONDS) == 0


def test_heartbeat_of_a_killed_child_is_removed_and_that_of_another_stays(
    children: ChildProcesses, start: Start, tmp_path: Path
) -> None:
    killed, other = start(children, 0, OBEDIENT), start(children, 1, OBEDIENT)
    (tmp_path / "heartbeats").mkdir()
    for child in (killed, other):
        (tmp_path / f"heartbeats/{child.pid}").touch()
    killed.kill()
    killed.wait(PATIENCE_SECONDS)
    children.take_ended()
    assert [file.name for file in (tmp_path / "heartbeats").iterdir()] == [str(other.pid)]
