"""What a person does with a sweep from outside: look at it, end it, carry it elsewhere. Nothing here imports torch."""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress

from jobs.artifacts import Artifacts, FolderArtifacts, open_artifacts
from jobs.artifacts.fetch import fetch as fetch_result
from jobs.artifacts.manifest import Patiently, read_manifest
from jobs.artifacts.manifest import verify as verify_result
from jobs.cli.status_table import status_json, status_table
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import parse_experiment
from jobs.queue import export_import
from jobs.queue.connections import connect
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.slots import read_experiment
from jobs.queue.status import SweepStatus, sweep_status
from jobs.queue.stop import stop_sweep
from jobs.queue.tables import sweeps
from jobs.runners.display import Display
from jobs.runners.local import local_database
from jobs.runtime import interrupt
from jobs.runtime.database_url import database_place, is_sqlite
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.retry import patiently
from jobs.runtime.settings import Settings, read_settings

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 10  # a person is waiting
WATCH_SECONDS = 2
FILE_COLUMNS = 160


@dataclass(frozen=True)
class Sweep:
    """A sweep in a database."""

    experiment: Experiment
    settings: Settings
    storage: FencedStorage

    def status(self) -> SweepStatus:
        return sweep_status(self.storage.engine, self.storage, self.experiment.study_name)

    def patiently(self, action: Callable[[], T], deadline_seconds: float = PATIENCE_SECONDS) -> T:
        return _with_database(self.settings.database_url, action, deadline_seconds)


def status(study: str | None, runs: Path, *, watch: bool, as_json: bool) -> None:
    """Prints how far a sweep is; with `watch` its lines as they come until all trials are settled."""
    with _open(study, runs) as sweep:
        if watch:
            _watch(sweep)
        elif as_json:
            print(json.dumps(status_json(sweep.experiment, sweep.patiently(sweep.status)), indent=2))
        else:
            console = Console()
            if not console.is_terminal:  # a file has no width
                console.width = FILE_COLUMNS
            console.print(status_table(sweep.experiment, sweep.patiently(sweep.status)))


def stop(study: str | None, runs: Path, *, now: bool) -> None:
    """Ends a sweep; see `jobs.queue.stop`."""
    with _open(study, runs) as sweep:
        name = sweep.experiment.study_name
        unbegun, begun = sweep.patiently(lambda: stop_sweep(sweep.storage, name, now=now))
        left = sweep.patiently(sweep.status)
    print(f"cancelled: {unbegun} not begun, {begun} begun")
    print(left.line())


def export(study: str | None, runs: Path, file: Path) -> None:
    with _open(study, runs) as sweep:
        url, name = sweep.settings.database_url, sweep.experiment.study_name
        sweep.patiently(lambda: export_import.export_study(url, name, file))
        print(f"study {sweep.experiment.study_name} written to {file}")


def import_(file: Path) -> None:
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise ConfigurationError(f"DATABASE_URL: needed in the environment to import {file}, but not set")
    read_settings(database_url=url, artifacts_url=".")
    study = _with_database(url, lambda: export_import.import_study(file, url))
    print(f"study {study} is in {database_place(url)}")


def verify(result: str) -> bool:
    """Checks every object of a result, prints what is wrong with it, and returns whether nothing is."""
    artifacts, with_artifacts = open_result(result)
    manifest = with_artifacts(lambda: read_manifest(artifacts))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=len(manifest.objects))
        faults = verify_result(artifacts, manifest, with_artifacts, lambda: progress.advance(task))
    for fault in faults:
        print(fault)
    total = sum(entry.size for entry in manifest.objects.values())
    if faults:
        counts = Counter(fault.kind for fault in faults)
        print(f"{artifacts.location}: {', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}")
    else:
        print(f"{artifacts.location}: {len(manifest.objects)} objects, {decimal(total)}, all as the manifest says")
    return not faults


def fetch(result: str, to: Path | None, *, partial: bool) -> None:
    """Downloads a result into a folder; what is there already and right is not downloaded again."""
    artifacts, with_artifacts = open_result(result)
    target = FolderArtifacts(to or Path(result.rstrip("/").rpartition("/")[2]))
    fetched = fetch_result(artifacts, target, with_artifacts, partial=partial)
    there = f", {fetched.there} of them there before" if fetched.there else ""
    print(f"{target.location}: {fetched.objects} objects, {decimal(fetched.bytes)}{there}")


def compare(results: Sequence[str], to: Path) -> None:
    """Writes a page that sets the studies beside each other, the same as Markdown, and its figures."""
    from jobs.report.compare.compare_page import PAGE, verdict, write_comparison  # noqa: PLC0415
    from jobs.report.compare.compared_study import read_studies  # noqa: PLC0415 - matplotlib takes a while to import

    studies = read_studies([open_result(result) for result in results])
    write_comparison(FolderArtifacts(to), studies)
    print(verdict(studies))
    print(to / PAGE)


def open_result(result: str) -> tuple[Artifacts, Patiently]:
    """What lies in a folder or at an s3:// URL, and how it is asked with a person's patience.

    Raises:
        ConfigurationError: it is neither.

    """
    settings = read_settings(database_url="sqlite:///", artifacts_url=result)  # no database is looked at
    try:
        artifacts = open_artifacts(result, settings.s3_options())
    except ValueError as error:
        raise ConfigurationError(str(error).replace("ARTIFACTS_URL=", "")) from None

    def with_artifacts(action: Callable[[], T], /) -> T:
        return patiently(action, place=artifacts.location, deadline_seconds=PATIENCE_SECONDS)

    return artifacts, with_artifacts


def _watch(sweep: Sweep) -> None:
    interrupt.listen()
    with Display(sweep.settings.log_format) as display:
        while True:
            status = sweep.patiently(sweep.status, sweep.settings.outage_deadline_seconds)
            display.sweep(status, sweep.experiment.sweep.epochs)
            if not status.unsettled:
                log.info("%s", status.line())
                return
            interrupt.pause(WATCH_SECONDS)


@contextmanager
def _open(study: str | None, runs: Path) -> Iterator[Sweep]:
    """The sweep in DATABASE_URL, or else below the folder of local runs.

    Raises:
        ConfigurationError: there is none of that name, or more than one to choose from.

    """
    url = os.environ.get("DATABASE_URL") or local_database(runs, _local_study(study, runs))
    settings = read_settings(database_url=url, artifacts_url=str(runs))
    if is_sqlite(url) and not Path(database_place(url)).is_file():  # looking would make one
        raise ConfigurationError(f"DATABASE_URL={url}: no such file")
    experiment = _with_database(url, lambda: _find(settings, study))
    storage = FencedStorage(url, settings.database_timeout_seconds)
    try:
        yield Sweep(experiment, settings, storage)
    finally:
        storage.engine.dispose()


def _with_database(url: str, action: Callable[[], T], deadline_seconds: float = PATIENCE_SECONDS) -> T:
    return patiently(action, place=database_place(url), deadline_seconds=deadline_seconds)


def _local_study(study: str | None, runs: Path) -> str:
    found = sorted(file.parent.name for file in runs.glob("*/study.db"))
    if study is None and len(found) == 1:
        return found[0]
    if study is None or study not in found:
        there = ", ".join(found) or "none"
        raise ConfigurationError(
            f"STUDY={study or ''}: DATABASE_URL is not set, and the studies below {runs} are: {there}"
        )
    return study


def _find(settings: Settings, study: str | None) -> Experiment:
    place = database_place(settings.database_url)
    engine = connect(settings.database_url, settings.database_timeout_seconds)
    try:
        with engine.connect() as connection:
            known = sa.inspect(connection).has_table("sweeps")
            found = sorted(connection.scalars(sa.select(sweeps.c.study))) if known else []
            if study is None and len(found) == 1:
                study = found[0]
            if study not in found or study is None:
                there = ", ".join(found) or "none"
                raise ConfigurationError(f"STUDY={study or ''}: the studies in {place} are: {there}")
            text = read_experiment(connection, study)
    finally:
        engine.dispose()
    assert text is not None
    return parse_experiment(text)
