"""The protocol statement by statement: a connection cut, a process killed or frozen at each one of them.

And the same with a guard taken away, which the checker has to notice.
"""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Literal

import pytest

from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.connections import connect
from jobs.queue.tables import slots
from tests.support import reporting
from tests.support.checker import Violation, check_ledger
from tests.support.databases import commit
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.place import Place
from tests.support.proxy import Act, Proxy, Statement
from tests.support.reporting import Guard, Reporting

EPOCHS = 2
AT_ONCE = 10  # cases that mostly wait
BEFORE_OPENING, AFTER_OPENING = 30, 15  # statements around that which opens confirmations; later ones are a trial's
# Killed before a statement is killed after the one before it.
Fault = Literal["cut before", "cut after", "kill after", "freeze until taken", "freeze until settled"]


@pytest.mark.parametrize(
    "fault", ["cut before", "cut after", "kill after", "freeze until taken", "freeze until settled"]
)
def test_trial_is_settled_once_whatever_happens_at_any_statement(place: Place, fault: Fault) -> None:
    statements = run_case(place, "undisturbed", 0, fault)
    assert any(statement.text == "COMMIT" for statement in statements)
    # Up to the limits of its time a transaction has done nothing: a fault there is one at its first statement.
    numbers = [at for at, statement in enumerate(statements, 1) if not is_beginning(statement.text)]
    assert len(numbers) > 40
    run_cases(place, fault, {at: statements[at - 1].text for at in numbers})


@pytest.mark.parametrize("fault", ["cut after", "kill after"])
def test_confirmation_is_opened_and_settled_once_whatever_happens_at_any_statement(place: Place, fault: Fault) -> None:
    confirm = "sweep.confirm={trials: 1, seeds: 1}"
    statements = run_case(place, "undisturbed", 0, fault, overrides=(confirm,))
    opening = next(
        at for at, statement in enumerate(statements, 1) if f"UPDATE {slots.name} SET parameters" in statement.text
    )
    numbers = [
        at
        for at, statement in enumerate(statements, 1)
        if opening - BEFORE_OPENING <= at <= opening + AFTER_OPENING and not is_beginning(statement.text)
    ]
    run_cases(place, fault, {at: statements[at - 1].text for at in numbers}, overrides=(confirm,))


def test_every_transaction_that_writes_holds_the_row_of_its_slot(place: Place) -> None:
    writing = [t for t in transactions(run_case(place, "undisturbed", 0, "cut after")) if any(map(is_write, t))]
    assert len(writing) > 5
    for statements in writing:
        first = next(filter(is_write, statements))
        before = statements[: statements.index(first)]
        fenced = first.startswith(f"UPDATE {slots.name} SET") and (
            f"{slots.name}.fence = " in first or f"fence=({slots.name}.fence + 1)" in first
        )
        assert fenced or any(f"{slots.name}.fence = " in text and "FOR UPDATE" in text for text in before), statements


@pytest.mark.parametrize("guard", ["fence", "lock", "clock"])
def test_checker_notices_that_a_guard_is_gone(place: Place, guard: Guard) -> None:
    without = {"fence": without_fence, "lock": without_lock, "clock": without_clock}[guard]
    with pytest.raises(Violation) as noticed:
        without(place)
    print(noticed.value)


def without_fence(place: Place) -> None:
    """A worker that is frozen while its successor finishes the trial, and that writes whatever it wants then."""
    statements = run_case(place, "undisturbed", 0, "freeze until settled", "fence")
    for at in range(1, len(statements) + 1):
        run_case(place, f"s{at}", at, "freeze until settled", "fence")


def without_lock(place: Place) -> None:
    """Many that claim at the same moment."""
    for attempt in range(20):
        sweep = reporting.experiment(8, EPOCHS, f"study.name=race-{attempt}")
        place.prepare(sweep)
        together = threading.Barrier(8)

        def claim(owner: str, study: str = sweep.study_name, together: threading.Barrier = together) -> None:
            engine = connect(place.url())
            engine.connect().close()
            together.wait()
            while commit(engine, claims.claim, study, owner, 60):
                owner += "+"
            engine.dispose()

        with reporting.removed("lock"):
            threads = [threading.Thread(target=claim, args=(f"w{number}",)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        check_ledger(place.ledger(sweep))


def without_clock(place: Place) -> None:
    """Workers that go by their own clocks, of which one is two hours ahead."""
    sweep = reporting.experiment(4, 4, "study.name=clocks")
    place.prepare(sweep)
    settings = reporting.place(place.url(), place.folder)
    body = Reporting(4, 0.2)
    workers = [reporting.start(sweep, settings, body, offset, "clock") for offset in (0, 7200)]
    for worker in workers:
        worker.join(PATIENCE_SECONDS)
    place.check(sweep)


def run_cases(place: Place, fault: Fault, statements: dict[int, str], overrides: tuple[str, ...] = ()) -> None:
    """A case for each of these statements, by its number; what fails names its statement."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        cases = {at: pool.submit(run_case, place, f"s{at}", at, fault, overrides=overrides) for at in statements}
        for at, case in cases.items():
            try:
                case.result()
            except Exception as error:
                error.add_note(f"{fault} at statement {at}: {statements[at][:300]}")
                raise


def run_case(
    place: Place, study: str, at: int, fault: Fault, guard: Guard | None = None, overrides: tuple[str, ...] = ()
) -> list[Statement]:
    """One trial by a worker to whom `fault` happens at statement `at`, finished by others if need be, and checked.

    Returns the statements of the first worker.
    """
    one_parameter = "searchSpace={dropout: {low: 0.0, high: 0.3}}"
    sweep = reporting.experiment(1, EPOCHS, f"study.name={study}", one_parameter, *overrides)
    place.prepare(sweep)
    body = Reporting(EPOCHS, 0.01)
    victim: list[BaseProcess] = []
    frozen, thaw = threading.Event(), threading.Event()

    def act(number: int, _text: str) -> Act:
        if number != at:
            return "forward"
        if fault.startswith("cut"):
            return "cut before" if fault == "cut before" else "cut after"
        if fault == "kill after":
            threading.Timer(0.05, reporting.kill, (victim[0],)).start()
            return "cut after"
        reporting.kill(victim[0], signal.SIGSTOP)
        frozen.set()
        thaw.wait(PATIENCE_SECONDS)  # the statement is on its way all the time
        return "forward"

    with Proxy(place.server.port, act) as proxy:
        settings = reporting.place(place.url(proxy.port), place.folder / study)
        victim.append(reporting.start(sweep, settings, body, guard=guard))
        if at and fault.startswith("freeze"):
            until(lambda: frozen.is_set() or not victim[0].is_alive())
            if frozen.is_set():
                finish_without(place, sweep, body, fault, guard)
            thaw.set()
            reporting.kill(victim[0], signal.SIGCONT)
        victim[0].join(PATIENCE_SECONDS)
        assert victim[0].exitcode is not None, "it hangs"
        until(lambda: place.settled(sweep) or place.claimable(sweep))
        if not place.settled(sweep):
            settings = reporting.place(place.url(), place.folder / study)
            reporting.start(sweep, settings, body, guard=guard).join(PATIENCE_SECONDS)
        place.check(sweep)
        return list(proxy.statements)


def finish_without(place: Place, sweep: Experiment, body: Reporting, fault: Fault, guard: Guard | None) -> None:
    """A second worker takes the slot of the frozen one, and settles it or is still at it."""
    if place.settled(sweep):
        return  # it was frozen at its very end
    until(lambda: bool(place.claimable(sweep)))
    slow = Reporting(EPOCHS, 0.3) if fault == "freeze until taken" else body
    settings = reporting.place(place.url(), place.folder / sweep.study_name)
    before = len(place.ledger(sweep))
    second = reporting.start(sweep, settings, slow, guard=guard)
    if fault == "freeze until settled":
        second.join(PATIENCE_SECONDS)
        return

    def is_taken() -> bool:
        nonlocal second
        if not second.is_alive():  # it left, as the frozen one's last transaction still had the row locked
            second = reporting.start(sweep, settings, slow, guard=guard)
        return len(place.ledger(sweep)) > before

    until(is_taken)


def transactions(statements: list[Statement]) -> list[list[str]]:
    """What lies between BEGIN and COMMIT on each connection."""
    found: list[list[str]] = []
    for connection in {statement.connection for statement in statements}:
        own = (" ".join(text.split()) for number, text in statements if number == connection)
        for text in own:
            if text == "BEGIN":
                found.append([])
            elif found and text != "COMMIT" and not is_beginning(text):
                found[-1].append(text)
    return found


def is_beginning(statement: str) -> bool:
    return statement == "BEGIN" or statement.startswith("SET LOCAL")


def is_write(statement: str) -> bool:
    return statement.startswith(("INSERT", "UPDATE", "DELETE"))
