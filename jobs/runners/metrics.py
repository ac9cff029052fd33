"""The numbers of a sweep for Prometheus and others that read OpenMetrics."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.queue.status import SweepStatus
from jobs.queue.tables import SlotState
from jobs.runtime.errors import Failure
from jobs.runtime.retry import OUTAGES

PREFIX = "resnet_sweep"


class Metrics(Collector):
    """What the runner knows at its last look. Every metric has the study as a label."""

    def __init__(self, study: str) -> None:
        self._study = study
        self.stage = ""
        self.status: SweepStatus | None = None

    def collect(self) -> Iterable[Metric]:
        """Asked by the server, in a thread of its own, each time that somebody reads."""
        if self.stage:
            yield self._gauge("stage", "The stage that runs.", {(self.stage,): 1}, "stage")
        if self.status is not None:
            yield from self._of_sweep(self.status)
        yield self._counter("outages", "Times at which database, bucket or API server did not answer.", OUTAGES.count)
        yield self._counter("outage_seconds", "How long they did not answer.", OUTAGES.seconds)

    def _of_sweep(self, status: SweepStatus) -> Iterator[Metric]:
        for kind, ones in (("trials", status.trials), ("confirmations", status.confirmations)):
            counts = Counter(one.state for one in ones)
            values = {(str(state),): counts[state] for state in SlotState}
            yield self._gauge(kind, f"{kind.capitalize()} by state.", values, "state")
        if status.best is not None and status.best.accuracy is not None:
            yield self._gauge("best_validation_accuracy", "Of the best trial, from 0 to 1.", {(): status.best.accuracy})
        epochs = sum(one.epoch for one in status.all)
        yield self._counter("epochs", "Epochs of trials and confirmations; their rate is the speed.", epochs)
        yield self._counter("running_seconds", "Time in which any of them ran.", 3600 * status.usage.hours)
        yield self._counter("gpu_seconds", "GPU time of all of them.", 3600 * status.usage.gpu_hours)

    def _gauge(self, name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
        metric = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=("study", *labels))
        for key, value in values.items():  # keys are tuples of the labels' values
            metric.add_metric((self._study, *key), value)
        return metric

    def _counter(self, name: str, text: str, value: float) -> Metric:
        metric = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=("study",))
        metric.add_metric((self._study,), value)
        return metric


@contextmanager
def served(port: int | None, study: str) -> Iterator[Metrics]:
    """Serves the metrics at this port while the block runs; without a port, nothing is served.

    Raises:
        Failure: the port cannot be used.

    """
    metrics = Metrics(study)
    if port is None:
        yield metrics
        return
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    server, thread = _start(port, registry)
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _start(port: int, registry: CollectorRegistry) -> tuple[WSGIServer, Thread]:
    try:
        return start_http_server(port, "::", registry)  # IPv4, too
    except OSError:  # perhaps there is no IPv6
        try:
            return start_http_server(port, "0.0.0.0", registry)
        except OSError as error:
            raise Failure(f"METRICS_PORT={port}: {error.strerror}") from None
