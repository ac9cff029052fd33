"""What a person does with a release, from the install to the result on their own disk, and what they see of mistakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.kubernetes_cluster import CommandFailed
from tests.cluster.release import NAME, POOLED, Release
from tests.support.asking import ask

SHORT = {"sweep": {"trials": 4, "epochs": 3}, "finalTrain": {"epochs": 2}, "data": {"limit": 300}}


def test_install_ends_with_a_verified_result_that_can_be_fetched(release: Release, tmp_path: Path) -> None:
    trials = 6
    experiment = {"sweep": {"trials": trials}, "finalTrain": {"seeds": 2}}
    notes = release.install(experiment=experiment, dashboard={"enabled": True}, postgresql=POOLED)
    assert "throwaway" in notes
    log = release.until_done()
    for stage in ("prepare", "sweep", "final-train", "evaluate"):
        assert re.search(rf"stage {stage}:? ", log), log
    settled = re.findall(r"INFO    trial (\d+) (?:complete|stopped early|infeasible|diverged)", log)
    assert sorted(map(int, settled)) == list(range(trials))
    assert re.search(r"verified: \d+ objects, .* all as the manifest says\n", log)
    accuracy = r"test accuracy \d+\.\d % \(mean of 2 seeds\) on 359 images .*\n"
    assert re.search(accuracy + r".*report: s3://sweeps/run1/evaluation/report.html", log)
    assert [line for line in log.splitlines() if "WARNING pod" in line] == []
    release.until("every Job complete", lambda: set(release.jobs().values()) == {"Complete"})
    release.check(trials)

    namespace = release.namespace
    assert "can be written, listed, read and removed" in namespace.helm("test", NAME, "--logs")
    with release.forwarded("bucket", 9000) as port:
        place = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "S3_ADDRESSING": "path", **release.secret("bucket")}
        fetched = subprocess.run(
            [sys.executable, "-m", "jobs", "fetch", "s3://sweeps/run1", "--to", str(tmp_path / "result")],
            env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | place,
            capture_output=True,
            text=True,
            check=False,
        )
    assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "result/evaluation/report.html").stat().st_size > 10_000
    assert {file.name.split("-run1")[0] for file in (tmp_path / "result/logs").iterdir()} == {
        "prepare", "sweep-0", "sweep-1", "final-train-0", "final-train-1", "evaluate", "pipeline",
    }  # fmt: skip

    with release.forwarded("dashboard", 8080) as port:
        assert ask(port, "/api/studies")[1]["study_summaries"][0]["study_name"] == NAME
        status, study = ask(port, "/api/studies/1")
        assert status == 200
        assert len(study["trials"]) == trials
        assert ask(port, "/api/studies/1/rename", "POST", {"study_name": "other"})[0] == 500  # it can only read


def test_upgrade_adds_trials_in_mid_sweep_and_after_the_end(release: Release) -> None:
    experiment = {**SHORT, "sweep": {"trials": 4, "epochs": 8, "earlyStopping": {"name": "none"}}}
    release.install(experiment=experiment, metrics={"enabled": True})
    release.until_half_way()
    assert re.search(r'^resnet_sweep_trials\{(?=.*state="complete").*\} [1-4]\.0$', release.metrics(), re.MULTILINE)
    before = {pod["metadata"]["name"] for pod in release.pods("sweep")}
    release.upgrade(experiment={"sweep": {"trials": 7}})
    release.until_log_has(r"\d/7 trials settled")
    assert before <= {pod["metadata"]["name"] for pod in release.pods("sweep")}  # the workers that ran go on
    release.until_done()
    release.check(7)

    release.upgrade(experiment={"sweep": {"trials": 8}})
    log = release.until_done()
    assert "7/8 trials settled" in log
    assert "8/8 trials settled" in log
    release.check(8)


def test_refused_upgrade_changes_nothing_and_a_reinstall_goes_on(release: Release) -> None:
    experiment = {**SHORT, "sweep": {"trials": 8, "epochs": 8, "earlyStopping": {"name": "none"}}}
    release.install(experiment=experiment)
    release.until_half_way()
    before = release.running("pipeline")
    with pytest.raises(CommandFailed) as refused:
        release.upgrade(experiment={"seed": 9})
    assert f"seed=9: study {NAME} in" in refused.value.output
    assert "belongs to another experiment, where it is 0" in refused.value.output
    assert release.running("pipeline") == before
    # Helm's newest manifest names another pipeline now than the one there is.
    release.uninstall()
    release.until("every pod gone", lambda: not release.namespace.get("pods")["items"])
    kinds = "jobs,statefulsets,services,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,pvc"
    left = {
        f"{item['kind']}/{item['metadata']['name']}"
        for item in release.namespace.get(kinds)["items"]
        if item["metadata"]["name"] not in ("default", "kube-root-ca.crt")
    }
    assert left == {
        f"Secret/{NAME}-postgresql", f"Secret/{NAME}-bucket",
        f"PersistentVolumeClaim/data-{NAME}-postgresql-0", f"PersistentVolumeClaim/data-{NAME}-bucket-0",
    }  # fmt: skip

    release.install(experiment={"seed": 0})
    log = release.until_done()
    assert "stage prepare is done" in log
    assert re.search(r"stage sweep( is done)?: [1-8]/8 trials settled", log)
    release.check(8)


# Mistakes, and what a person sees of them within a minute.


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"experiment": {"sweep": {"trails": 4}}}, "additional properties 'trails' not allowed"),
        ({"experiment": {"training": {"batchSize": 0}}}, "batchSize"),
        ({"lease": {"seconds": 10}}, "lease.seconds=10: at least three times lease.renewalSeconds=4"),
    ],
)
def test_value_that_is_not_allowed_ends_the_install(release: Release, values: dict[str, object], words: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        release.install(**values)
    assert words in refused.value.output


def test_range_that_is_none_is_one_line_of_the_pipeline(release: Release) -> None:
    release.install(experiment={"searchSpace": {"lr": {"low": 0.5}}})
    log = release.until_log_has("must be below")
    assert log == "resnet-sweep: searchSpace.lr.low=0.5: must be below high=0.3\n"  # nothing is made before
    release.until("its end", lambda: release.outcome() == "Failed")


def test_gpus_that_no_node_has_are_named_with_the_value_that_asks_for_them(release: Release) -> None:
    release.install(worker={"gpus": 1}, gpu={"resourceName": "example.com/gpu"}, experiment=SHORT)
    log = release.until_log_has("cannot be scheduled")
    assert re.search(
        r"WARNING pod run1-sweep-\S+ cannot be scheduled: it asks for 1 example.com/gpu \(worker.gpus\); 0/\d+ nodes",
        log,
    )


def test_missing_secret_is_named_and_waited_for(release: Release) -> None:
    namespace = release.namespace
    release.install(database={"existingSecret": "nope"}, networkPolicy={"enabled": False})
    log = release.until_log_has("existingSecret")
    assert "resnet-sweep: DATABASE_URL: needed in the environment, but not set; the Secret that" in log
    namespace.kubectl(
        "create", "secret", "generic", "nope", "--from-literal=DATABASE_URL=postgresql://nowhere.invalid/x"
    )
    release.until_log_has(r"database x at nowhere.invalid:5432 cannot be reached")


def test_image_that_is_not_there_is_what_kubectl_logs_says(release: Release) -> None:
    repository = release.namespace.cluster.images.resnet_sweep.repository
    release.install(image={"repository": repository, "tag": "nope", "digest": ""})
    release.until_log_has("trying and failing to pull image")


def test_rendered_manifests_are_what_the_server_takes(release: Release) -> None:
    manifests = Path(__file__).parents[2] / "k8s/resnet-sweep.yaml"
    applied = release.namespace.kubectl("apply", "--dry-run=server", f"--filename={manifests}")
    assert len(applied.splitlines()) == len([d for d in yaml.safe_load_all(manifests.read_text()) if d])
    stages = next(
        document
        for document in yaml.safe_load_all(manifests.read_text())
        if document and document["kind"] == "ConfigMap" and document["metadata"]["name"].endswith("-stages")
    )
    for text in stages["data"].values():
        job = yaml.safe_load(text)
        release.namespace.kubectl("create", "--dry-run=server", "--filename=-", standard_input=json.dumps(job))
