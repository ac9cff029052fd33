"""A standby of the tests' PostgreSQL, which may be promoted."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jobs.experiment.experiment import Experiment
from tests.support.place import Place
from tests.support.postgres import PASSWORD, SETTINGS, USER, Postgres, binaries, free_port, unprivileged


class Standby(Postgres):
    """Follows the primary, without the primary waiting for it."""

    def __init__(self, primary: Postgres, folder: Path) -> None:
        self.folder, self.data, self.port = folder, folder / "data", free_port()
        self._bin, self._user = binaries(), unprivileged(folder)
        self._server, self._settings, self.environment = None, SETTINGS, {}
        subprocess.run(
            [
                self._bin / "pg_basebackup", "-D", self.data, "-h", "127.0.0.1", "-p", str(primary.port), "-U", USER,
                "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
            ],
            check=True,
            capture_output=True,
            user=self._user,
            env={**os.environ, "PGPASSWORD": PASSWORD},
        )  # fmt: skip

    def wait_for_all_of(self, primary: Postgres) -> None:
        """Until it has all that the primary has written by now."""
        ((written,),) = primary.execute("SELECT pg_current_wal_lsn()")
        while self.execute(f"SELECT pg_last_wal_replay_lsn() < '{written}'") == [(True,)]:
            time.sleep(0.05)

    def cut_off(self) -> None:
        """What the primary writes from now on never comes here."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """It is a primary once this returns."""
        assert self.execute("SELECT pg_promote()") == [(True,)]


@dataclass
class PlaceWithStandby(Place):
    """A database on a primary, then on its standby."""

    standby: Standby
    failed_over: bool = False

    def __post_init__(self) -> None:
        hosts = f"127.0.0.1:{self.server.port},127.0.0.1:{self.standby.port}"
        access = f"{USER}:{quote(PASSWORD, safe='')}"
        self._url = f"postgresql://{access}@{hosts}/{self.database}?target_session_attrs=read-write"

    def url(self, port: int | None = None) -> str:
        assert port is None, "it has two"
        return self._url

    def prepare(self, sweep: Experiment) -> None:
        super().prepare(sweep)
        self.standby.wait_for_all_of(self.server)

    def fail_over(self) -> None:
        self.server.stop()
        self.standby.promote()
        self.server, self.failed_over = self.standby, True


@contextmanager
def place_with_standby(folder: Path) -> Iterator[PlaceWithStandby]:
    with primary_and_standby() as (primary, standby):
        place = PlaceWithStandby(primary, primary.new_database(), folder, standby)
        try:
            yield place
        finally:
            place.engine.dispose()


@contextmanager
def primary_and_standby() -> Iterator[tuple[Postgres, Standby]]:
    with tempfile.TemporaryDirectory(prefix="postgres-") as one, tempfile.TemporaryDirectory(prefix="postgres-") as two:
        primary = Postgres(Path(one))
        primary.start()
        try:
            standby = Standby(primary, Path(two))
            standby.start()
            try:
                yield primary, standby
            finally:
                standby.stop()
        finally:
            primary.stop()
