"""The trainings of a study as runs of an MLflow experiment that is called like the study."""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from jobs.report.trackers.runs import TrackedRun
from jobs.runtime.errors import ConfigurationError, Failure

OURS = "resnet-sweep.run"  # the tag by which a later export knows a run
MOST_METRICS = 1000  # of one request
# MLflow's own settings: it would try for minutes to reach a server, and print two lines a run.
SETTINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


class TrackerRefused(Failure):
    """MLflow's server cannot be reached, or does not take what it is sent."""


def write_runs(runs: Iterable[TrackedRun], study: str, server: str) -> int:
    """Adds a run for each training that the experiment does not have yet, and returns how many those are.

    Raises:
        ConfigurationError: MLflow is not installed.
        TrackerRefused: the server cannot be reached or refuses.

    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - an extra
        from mlflow.tracking import MlflowClient  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("--to=mlflow: needs pip install 'resnet-sweep[mlflow]'") from None
    try:
        client = MlflowClient(tracking_uri=server)
        found = client.get_experiment_by_name(study)
        experiment = client.create_experiment(study) if found is None else found.experiment_id
        there = _finished(client, experiment)
        new = [run for run in runs if run.name not in there]
        for run in new:
            _write(client, experiment, run)
    except MlflowException as error:
        raise TrackerRefused(f"{server}: {' '.join(str(error).split()):.300}") from None
    return len(new)


def _finished(client: Any, experiment: str) -> set[str]:
    """Names of the runs that are there. What an export that was ended has left half written is deleted."""
    names, page = set(), None
    while True:
        runs = client.search_runs([experiment], max_results=MOST_METRICS, page_token=page)
        for run in runs:
            name = run.data.tags.get(OURS)
            if name is not None and run.info.status == "RUNNING":
                client.delete_run(run.info.run_id)
            elif name is not None:
                names.add(name)
        page = runs.token
        if not page:
            return names


def _write(client: Any, experiment: str, run: TrackedRun) -> None:
    from mlflow.entities import Metric, Param  # noqa: PLC0415

    ended = _milliseconds(run.ended) or _milliseconds(datetime.now())
    began = _milliseconds(run.began) or ended
    tags = {OURS: run.name, "kind": run.kind, "state": run.state}
    if run.message:
        tags["message"] = run.message
    identity = client.create_run(experiment, start_time=began, tags=tags, run_name=run.name).info.run_id
    client.log_batch(identity, params=[Param(name, str(value)) for name, value in run.parameters.items()])
    last = max(run.epochs, default=0)
    metrics = [
        Metric(name, value, ended, step)
        for step, of_step in (*sorted(run.epochs.items()), (last, run.metrics))
        for name, value in of_step.items()
    ]
    for part in _parts(metrics):
        client.log_batch(identity, metrics=part)
    client.set_terminated(identity, "FAILED" if run.failed else "FINISHED", end_time=ended)


def _parts(metrics: list[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(metrics), MOST_METRICS):
        yield metrics[begin : begin + MOST_METRICS]


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(1000 * moment.timestamp())
