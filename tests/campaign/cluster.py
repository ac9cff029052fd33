"""Faults of pods, processes and services of whole releases on a real cluster, several releases at a time."""

import queue
import random
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.campaign.outcome import Outcome, seeds
from tests.cluster.choice import chosen_cluster
from tests.cluster.kubernetes_cluster import Cluster, CommandFailed, Namespace
from tests.cluster.release import EXPERIMENT, NAME, TRIALS, Release

AT_ONCE = 3
PAUSE_SECONDS = (1.0, 8.0)  # between two faults of a release
MOST_FAULTS = 14  # of a release, so that it ends
OURS = ("prepare", "sweep", "final-train", "evaluate", "pipeline")
SERVICES = ("postgresql", "bucket")


def run(faults: int, campaign: str) -> Iterator[Outcome]:
    """Releases side by side, until so many faults are made."""
    outcomes: queue.Queue[Outcome] = queue.Queue()
    waiting, made = seeds(campaign), 0
    with tempfile.TemporaryDirectory() as folder, chosen_cluster(Path(folder)) as cluster:
        running = 0
        while True:
            while running < AT_ONCE and made < faults and (seed := next(waiting, None)) is not None:
                threading.Thread(target=lambda seed=seed: outcomes.put(_Schedule(seed, cluster).run())).start()
                running += 1
            if not running:
                return
            outcome = outcomes.get()
            running -= 1
            made += len(outcome.faults)
            yield outcome


class _Schedule:
    def __init__(self, seed: str, cluster: Cluster) -> None:
        self._draw = random.Random(seed)
        self._outcome = Outcome(seed)
        self._namespace = Namespace(cluster, f"campaign-{secrets.token_hex(4)}")
        self._release = Release(self._namespace)

    def run(self) -> Outcome:
        started = time.monotonic()
        self._namespace.cluster.kubectl("create", "namespace", self._namespace.name)
        try:
            self._release.install(experiment=EXPERIMENT, worker={"backoffLimitPerIndex": 50}, maxCrashes=50)
            self._make_faults()
            self._release.until_done(900)
            self._release.check(TRIALS)
        except AssertionError as violation:
            self._outcome.violation = str(violation)
        finally:
            self._namespace.cluster.kubectl("delete", "namespace", self._namespace.name, "--wait=false")
        self._outcome.seconds = round(time.monotonic() - started, 1)
        return self._outcome

    def _make_faults(self) -> None:
        faults: dict[str, Callable[[], None]] = {
            "pod deleted": lambda: self._delete(self._pod(OURS), "--wait=false"),
            "pod deleted at once": lambda: self._delete(self._pod(OURS), "--grace-period=0", "--force", "--wait=false"),
            "pod evicted": lambda: self._evict(self._pod(OURS)),
            "process killed": lambda: self._release.signal(self._pod(OURS), signal.SIGKILL),
            "process frozen": self._freeze,
            "service's pod deleted": lambda: self._delete(self._pod(SERVICES), "--grace-period=0", "--force"),
            "database that may only be read": self._only_read,
        }
        while len(self._outcome.faults) < MOST_FAULTS:
            time.sleep(self._draw.uniform(*PAUSE_SECONDS))
            if self._release.outcome():
                return
            kind = self._draw.choices(list(faults), weights=[3, 3, 2, 4, 3, 1, 1])[0]
            try:
                faults[kind]()
            except (CommandFailed, AssertionError, ProcessLookupError, IndexError):
                continue  # there was nothing of the kind at this moment
            self._outcome.faults.append(kind)

    def _pod(self, components: tuple[str, ...]) -> str:
        return self._draw.choice([pod for component in components for pod in self._release.running(component)])

    def _delete(self, pod: str, *options: str) -> None:
        self._namespace.kubectl("delete", "pod", pod, *options)

    def _evict(self, pod: str) -> None:
        name = f"/api/v1/namespaces/{self._namespace.name}/pods/{pod}/eviction"
        metadata = f'{{"name": "{pod}", "namespace": "{self._namespace.name}"}}'
        body = f'{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {metadata}}}'
        self._namespace.kubectl("create", "--raw", name, "--filename=-", standard_input=body)

    def _freeze(self) -> None:
        pod = self._pod(OURS[:4])
        self._release.signal(pod, signal.SIGSTOP)
        time.sleep(self._draw.uniform(1, 30))
        self._release.signal(pod, signal.SIGCONT)

    def _only_read(self) -> None:
        for value in ("on", "off"):
            self._sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            self._sql("SELECT pg_reload_conf()")
            time.sleep(self._draw.uniform(1, 20) if value == "on" else 0)

    def _sql(self, statement: str) -> None:
        command = ("psql", "--username=sweep", "--dbname=sweeps", f"--command={statement}")
        self._namespace.kubectl("exec", f"{NAME}-postgresql-0", "--", *command)
