"""A primary that gives way to another server while it still answers."""

import time
from pathlib import Path
from urllib.parse import quote

from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from tests.support import reporting
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.postgres import PASSWORD, USER, Postgres
from tests.support.reporting import Reporting
from tests.support.standby import Standby, primary_and_standby

ONLY_READ = "ALTER SYSTEM SET default_transaction_read_only = on"


def url_of_both(primary: Postgres, standby: Standby, database: str) -> str:
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{hosts}/{database}?target_session_attrs=read-write"


def test_primary_that_may_only_be_read_is_left_for_the_one_that_can_be_written_to(tmp_path: Path) -> None:
    sweep = reporting.experiment(4, 2)
    with primary_and_standby() as (primary, standby):
        name = primary.new_database()
        url = url_of_both(primary, standby, name)
        reporting.prepare(sweep, url)

        def body(run: RunningTrial) -> None:
            if run.slot == 1 and not run.epochs:  # the worker's sessions are open; they see this at once
                until_followed(primary, standby)
                primary.execute(ONLY_READ)
                primary.execute("SELECT pg_reload_conf()")
                standby.promote()
            Reporting(2, 0.05)(run)

        settings = reporting.place(url, tmp_path, outage_deadline_seconds=20)
        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)
        there = opened(standby.url(name))
        check_sweep(there, sweep.study_name, 4)
        there.close()


def until_followed(primary: Postgres, standby: Standby) -> None:
    """The standby lags behind by what is on its way, which is another test's subject."""
    ((written,),) = primary.execute("SELECT pg_current_wal_lsn()")
    while standby.execute(f"SELECT pg_last_wal_replay_lsn() < '{written}'") == [(True,)]:
        time.sleep(0.05)
