"""Workers whose trials only report, and which are replaced when they end."""

from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from jobs.experiment.experiment import Experiment
from tests.support import reporting
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.place import Place
from tests.support.reporting import Reporting


class Crew:
    """Workers that are replaced when they end, as a Job does, until every slot is settled."""

    def __init__(
        self,
        place: Place,
        sweep: Experiment,
        size: int,
        seconds: float,
        *,
        fatal_slot: int | None = None,
        failing_slot: int | None = None,
        **limits: Any,
    ) -> None:
        self._place, self._sweep = place, sweep
        self._settings = reporting.place(f"{place.url()}&application_name=worker", place.folder, **limits)
        self._body = Reporting(
            sweep.sweep.epochs, seconds, place.folder / "journal", fatal_slot=fatal_slot, failing_slot=failing_slot
        )
        self.processes = [self._start() for _ in range(size)]
        self.exit_codes: Counter[int | None] = Counter()

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Until all is settled; `meanwhile` is called some twenty times a second."""
        self.run_until(lambda: self._place.settled(self._sweep), meanwhile)
        for process in self.processes:
            process.join(PATIENCE_SECONDS)
            self.exit_codes[process.exitcode] += 1
            process.kill()

    def run_until(self, reached: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        def over() -> bool:
            if reached():
                return True
            meanwhile()
            for index, process in enumerate(self.processes):
                if not process.is_alive():
                    self.exit_codes[process.exitcode] += 1
                    self.processes[index] = self._start()
            return False

        until(over)

    def settled(self) -> int:
        return sum(row.state.settled for row in self._place.rows(self._sweep))

    def _start(self) -> BaseProcess:
        return reporting.start(self._sweep, self._settings, self._body)
