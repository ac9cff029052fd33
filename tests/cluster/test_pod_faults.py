"""Whatever is killed, frozen, drained or away: N trials settled, each once, and a result that verifies."""

import re
import signal
import time

import pytest

from tests.cluster.kubernetes_cluster import Cluster
from tests.cluster.release import EXPERIMENT, NAME, POOLED, TRIALS, Release
from tests.cluster.single_node.cluster import SingleNode
from tests.cluster.single_node.layout import NODE
from tests.support.patience import PATIENCE_SECONDS


def node_of(release: Release) -> SingleNode:
    node = release.namespace.cluster.single_node
    if node is None:
        pytest.skip("needs a cluster whose processes are on this machine")
    return node


def test_pods_of_every_kind_deleted_and_worker_process_killed(release: Release) -> None:
    node_of(release)
    release.install(experiment=EXPERIMENT, postgresql=POOLED)
    deleted, killed = release.until_all_work()
    release.namespace.kubectl("delete", "pod", deleted, "--wait=false")
    release.signal(killed, signal.SIGKILL)
    release.until_log_has(rf"pod {killed} on node {NODE} was killed \(SIGKILL\)")
    former = release.running("pipeline")[0]
    release.namespace.kubectl("delete", "pod", former, "--wait=false")
    for service in ("postgresql", "bucket"):
        release.namespace.kubectl("delete", "pod", f"{NAME}-{service}-0", "--grace-period=0", "--force")
        release.namespace.wait(f"pod/{NAME}-{service}-0", "condition=Ready")
    log = release.until_done()
    assert [pod["metadata"]["name"] for pod in release.pods("pipeline")] != [former]
    assert log.count("2 workers for") <= 1  # the second one found the sweep's Job and made no other
    release.check(TRIALS)


def test_one_worker_frozen_for_a_while_and_then_one_for_good(release: Release) -> None:
    """What the first still writes when it thaws is discarded. It settles the trial of the second, for whose end nobody
    waits.
    """
    node_of(release)
    trials = 2 * TRIALS  # some are left when the lease of the first has run out
    release.install(experiment={**EXPERIMENT, "sweep": {**EXPERIMENT["sweep"], "trials": trials}})
    first, second = release.until_all_work()
    taken = freeze_in_a_trial(release, first)
    release.until_log_has(rf"trial {taken} complete")
    lost = freeze_in_a_trial(release, second)
    release.signal(first, signal.SIGCONT)
    release.until("what it drops", lambda: "the trial is dropped" in release.log_of(first))
    assert f"trial {lost} complete" in release.until_done()
    release.check(trials)


def test_quota_taken_away_and_half_of_it_given_back(release: Release) -> None:
    """As Kueue does it: the sweep's Job is suspended, and resumed with fewer workers in all."""
    release.install(experiment=EXPERIMENT, worker={"count": 2})
    release.until_all_work()
    (job,) = (name for name in release.jobs() if name.startswith(f"{NAME}-sweep-"))
    patch = ("patch", "job", job, "--type=merge", "--patch")
    release.namespace.kubectl(*patch, '{"spec": {"suspend": true}}')
    release.until("no worker", lambda: not release.pods("sweep"))
    release.namespace.kubectl(*patch, '{"spec": {"suspend": false, "parallelism": 1, "completions": 1}}')
    log = release.until_done()
    assert len(release.pods("sweep")) == 1
    assert [name for name in release.jobs() if name.startswith(f"{NAME}-sweep-")] == [job]
    assert [line for line in log.splitlines() if "WARNING" in line] == []
    release.check(TRIALS)


@pytest.mark.alone
def test_node_drained_and_its_kubelet_and_the_api_server_restarted(release: Release, cluster: Cluster) -> None:
    release.install(experiment=EXPERIMENT)
    release.until_half_way()
    before = release.pods("sweep")
    node = before[0]["spec"]["nodeName"]
    drain = (
        "drain",
        node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--force",
        f"--timeout={PATIENCE_SECONDS:.0f}s",
    )
    try:
        cluster.kubectl(*drain, f"--pod-selector=app.kubernetes.io/instance={NAME}")
        assert release.running("sweep") == []
    finally:
        cluster.kubectl("uncordon", node)
    if (processes := cluster.single_node) is not None:  # else they are out of reach
        processes.stop_kubelet()
        time.sleep(5)
        processes.start_kubelet()
        processes.restart_api_server(seconds_down=5)
    release.until_done()
    assert {pod["metadata"]["uid"] for pod in before}.isdisjoint(p["metadata"]["uid"] for p in release.pods("sweep"))
    release.check(TRIALS)


@pytest.mark.alone
def test_node_lost_for_minutes(release: Release) -> None:
    """Its pods are to be deleted and cannot be: the pipeline takes the workers out of the books, so that the Job can
    make others. Where all nodes are lost nobody deletes pods, hence the test does.
    """
    node = node_of(release)
    release.install(experiment=EXPERIMENT)
    lost = release.until_all_work()
    job = lost[0].rsplit("-", 2)[0]

    def replaced() -> bool:
        pods = release.pods("sweep", f"batch.kubernetes.io/job-name={job}")
        return len(pods) == len(lost) and {pod["metadata"]["name"] for pod in pods}.isdisjoint(lost)

    node.stop_kubelet()
    try:
        for pod in lost:
            release.signal(pod, signal.SIGSTOP)
            release.namespace.kubectl("delete", "pod", pod, "--wait=false")
        release.until("others in their place", replaced)
    finally:
        node.start_kubelet()
    assert "is lost; it is removed" in release.until_done()
    release.check(TRIALS)


def freeze_in_a_trial(release: Release, pod: str) -> str:
    """The trial's number; it has begun, and there are epochs to come."""
    last_epoch = EXPERIMENT["sweep"]["epochs"]
    while True:
        release.signal(pod, signal.SIGSTOP)
        trial, came = re.findall(r"trial (\d+) (begins|epoch \d+|complete)", release.log_of(pod))[-1]
        if came not in ("complete", f"epoch {last_epoch}"):
            return str(trial)
        release.signal(pod, signal.SIGCONT)
        time.sleep(0.5)
