"""What the pipeline serves, read as Prometheus reads it."""

import socket
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from jobs.queue.ledger import Usage
from jobs.queue.status import SweepStatus, TrialStatus
from jobs.queue.tables import SlotState
from jobs.runners.metrics import Metrics, served
from jobs.runtime.errors import Failure
from jobs.runtime.retry import Outages

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
COMPLETE, RUNNING = SlotState.COMPLETE, SlotState.RUNNING


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def metrics(port: int) -> Iterator[Metrics]:
    with served(port, "birds") as metrics:
        yield metrics


def read(port: int) -> dict[str, float]:
    """Every sample by its name and its labels but the study, which is the same in all."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": OPENMETRICS})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels.pop("study") for sample in samples} == {"birds"}
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def test_what_is_known_at_the_last_look_is_served(metrics: Metrics, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.runners.metrics.OUTAGES", Outages(2, 7.5))
    outages = {"resnet_sweep_outages_total": 2, "resnet_sweep_outage_seconds_total": 7.5}
    assert read(port) == outages
    metrics.stage = "sweep"
    trials = [
        TrialStatus(slot=0, state=COMPLETE, number=0, epoch=5, accuracy=0.75, seconds=9),
        TrialStatus(slot=1, state=RUNNING, number=1, epoch=2, accuracy=0.9, seconds=4),
        TrialStatus(slot=2, state=SlotState.WAITING, seconds=None),
    ]
    again = [TrialStatus(slot=0, state=COMPLETE, work="confirmation", number=0, epoch=5, accuracy=0.7, seconds=9)]
    metrics.status = SweepStatus(trials, Usage(0.5, 1.5, {}), again)
    found = read(port)
    assert found.pop("resnet_sweep_best_validation_accuracy") == 0.75
    by_state = {
        name: found.pop(name) for name in list(found) if name.startswith(("resnet_sweep_tr", "resnet_sweep_co"))
    }
    assert len(by_state) == 2 * len(SlotState)
    assert {name.removeprefix("resnet_sweep_"): value for name, value in by_state.items() if value} == {
        "trials complete": 1,
        "trials running": 1,
        "trials waiting": 1,
        "confirmations complete": 1,
    }
    assert found == outages | {
        "resnet_sweep_stage sweep": 1,
        "resnet_sweep_epochs_total": 12,
        "resnet_sweep_running_seconds_total": 1800,
        "resnet_sweep_gpu_seconds_total": 5400,
    }


def test_nobody_answers_once_the_pipeline_has_ended(port: int) -> None:
    with served(port, "birds"):
        read(port)
    with pytest.raises(OSError, match="refused"):
        read(port)


@pytest.mark.usefixtures("metrics")
def test_port_that_is_taken_is_named(port: int) -> None:
    with pytest.raises(Failure, match=f"^METRICS_PORT={port}: Address already in use$"), served(port, "birds"):
        pass


def test_without_a_port_nothing_is_served() -> None:
    with served(None, "birds") as metrics:
        assert list(metrics.collect())
