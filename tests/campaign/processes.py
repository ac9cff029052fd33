"""Faults of worker processes, their database and their bucket: the protocol alone, at many times its usual speed."""

import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.campaign.outcome import Outcome, seeds
from tests.support import reporting
from tests.support.bucket_server import Minio
from tests.support.crew import Crew
from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.reporting import LEASE
from tests.support.standby import PlaceWithStandby, place_with_standby

TRIALS, EPOCHS, WORKERS = 6, 4, 3
WITH_STANDBY = 0.25  # of the schedules: their database fails over
EPOCH_SECONDS = 0.15
FAULTS = (3, 9)  # of one schedule
PAUSE_SECONDS = (0.0, 0.8)  # between two


def run(faults: int, campaign: str) -> Iterator[Outcome]:
    made = 0
    with ExitStack() as servers:
        alone = Postgres(Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="postgres-"))))
        alone.start()
        servers.callback(alone.stop)
        minio = Minio(Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="minio-"))))
        minio.start()
        servers.callback(minio.stop)
        for seed in seeds(campaign):
            draw = random.Random(seed)
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-")))
                if draw.random() < WITH_STANDBY:
                    place: Place = stack.enter_context(place_with_standby(folder))
                else:
                    place = Place(alone, alone.new_database(), folder)
                outcome = _Schedule(seed, draw, place, minio).run()
            yield outcome
            made += len(outcome.faults)
            if made >= faults:
                return


class _Schedule:
    def __init__(self, seed: str, draw: random.Random, place: Place, minio: Minio) -> None:
        self._draw = draw
        self._outcome = Outcome(seed)
        self._place, self._minio = place, minio
        self._sweep = reporting.experiment(TRIALS, EPOCHS)
        self._left = self._draw.randint(*FAULTS)
        self._next = time.monotonic() + self._draw.uniform(*PAUSE_SECONDS)
        self._frozen: list[tuple[float, int]] = []  # when each is to thaw, and which process it is

    def run(self) -> Outcome:
        started = time.monotonic()
        self._place.prepare(self._sweep)
        self._crew = Crew(
            self._place, self._sweep, WORKERS, EPOCH_SECONDS, **self._minio.new_bucket().settings(), max_attempts=50
        )
        try:
            self._crew.run(self._meanwhile)
            self._place.check(self._sweep)
        except AssertionError as violation:
            self._outcome.violation = str(violation)
        finally:
            for process in self._crew.processes:
                process.kill()
            self._place.engine.dispose()
        trained = self._place.epochs_trained()
        self._outcome.repeated_epochs = trained.total() - len(trained)
        self._outcome.seconds = round(time.monotonic() - started, 1)
        return self._outcome

    def _meanwhile(self) -> None:
        now = time.monotonic()
        for thaws, pid in [frozen for frozen in self._frozen if frozen[0] <= now]:
            self._frozen.remove((thaws, pid))
            reporting.signal_process(pid, signal.SIGCONT)
        if now < self._next or not self._left:
            return
        kinds: dict[str, Callable[[], None]] = {
            "kill": lambda: self._signal(signal.SIGKILL),
            "terminate": lambda: self._signal(signal.SIGTERM),
            "freeze": self._freeze,
            "restart of the database": lambda: self._place.server.restart(self._draw.choice([0.0, 0.5, 2 * LEASE])),
            "database that does not answer": self._freeze_database,
            "database that may only be read": self._only_read,
            "bucket away": self._stop_bucket,
            "bucket that does not answer": self._freeze_bucket,
        }
        weights = [6, 3, 4, 2, 1, 1, 1, 1]
        if isinstance(self._place, PlaceWithStandby) and not self._place.failed_over:
            kinds["failover"] = partial(self._fail_over, self._place, self._draw.uniform(0, LEASE))
            weights.append(10)
        kind = self._draw.choices(list(kinds), weights=weights)[0]
        self._outcome.faults.append(kind)
        kinds[kind]()
        self._left -= 1
        self._next = time.monotonic() + self._draw.uniform(*PAUSE_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        reporting.kill(self._draw.choice(self._crew.processes), number)

    def _freeze(self) -> None:
        process = self._draw.choice(self._crew.processes)
        assert process.pid is not None
        reporting.kill(process, signal.SIGSTOP)
        self._frozen.append((time.monotonic() + self._draw.uniform(0.2, 3 * LEASE), process.pid))

    def _freeze_database(self) -> None:
        with self._place.server.frozen():
            time.sleep(self._draw.uniform(0.2, 2 * LEASE))

    def _fail_over(self, place: PlaceWithStandby, seconds: float) -> None:
        """What the primary writes for so many seconds is lost with it."""
        place.standby.cut_off()
        time.sleep(seconds)
        place.fail_over()

    def _only_read(self) -> None:
        for value in ("on", "off"):
            self._place.server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            self._place.server.execute("SELECT pg_reload_conf()")
            time.sleep(self._draw.uniform(0.2, 2 * LEASE) if value == "on" else 0)

    def _stop_bucket(self) -> None:
        self._minio.stop()
        time.sleep(self._draw.uniform(0.2, 2 * LEASE))
        self._minio.start()

    def _freeze_bucket(self) -> None:
        with self._minio.frozen():
            time.sleep(self._draw.uniform(0.2, 2 * LEASE))
