import hashlib
import json
from typing import Any

import kubernetes_validate
import pytest

from jobs.cli.exit_codes import EXIT_CONFIGURATION, EXIT_STAGE_FAILED
from jobs.cli.run_stage import STAGES_WITH_HEARTBEAT
from jobs.runtime.interrupt import EXIT_INTERRUPTED
from tests.support.helm import CHART, KUBERNETES, Helm, Rendered

STAGES = ["prepare", "sweep", "final-train", "evaluate"]


def test_the_stages_are_files_of_the_chart(defaults: Rendered) -> None:
    assert sorted(defaults.stages) == sorted(STAGES)
    assert sorted(file.name for file in (CHART / "stages").iterdir()) == sorted(f"{stage}-job.yaml" for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_ends_as_the_exit_codes_say(rendered: Rendered, stage: str) -> None:
    job = rendered.stages[stage]
    assert job["metadata"]["name"] == f"run1-{stage}"
    assert "namespace" not in job["metadata"]
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == [
        stage,
        "--config",
        "/etc/resnet-sweep/experiment.yaml",
    ]
    disruption, interrupted, configuration = job["spec"]["podFailurePolicy"]["rules"]
    assert (disruption["action"], disruption["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (interrupted["action"], interrupted["onExitCodes"]["values"]) == ("Ignore", [EXIT_INTERRUPTED])
    assert (configuration["action"], configuration["onExitCodes"]["values"]) == ("FailJob", [EXIT_CONFIGURATION])
    assert {rule["onExitCodes"]["containerName"] for rule in (interrupted, configuration)} == {stage}


def test_the_sweep_is_an_indexed_job(defaults: Rendered, everything: Rendered) -> None:
    for rendered, workers in ((defaults, 2), (everything, 3)):
        spec = rendered.stages["sweep"]["spec"]
        assert spec["completionMode"] == "Indexed"
        assert spec["completions"] == spec["parallelism"] == workers
        assert spec["backoffLimitPerIndex"] == 6
        assert "backoffLimit" not in spec  # it would end the sweep with the first worker that fails for good


def test_each_seed_of_the_final_training_is_an_index(helm: Helm, defaults: Rendered, everything: Rendered) -> None:
    def pods(rendered: Rendered) -> tuple[int, int]:
        spec = rendered.stages["final-train"]["spec"]
        assert spec["completionMode"] == "Indexed"
        assert spec["backoffLimitPerIndex"] == 6
        assert "backoffLimit" not in spec  # the other seeds are worth their end
        return spec["completions"], spec["parallelism"]

    assert pods(defaults) == (1, 1)
    assert pods(everything) == (5, 2)
    assert pods(helm.render("--set=experiment.finalTrain.seeds=3")) == (3, 3)
    assert pods(helm.render("--set=experiment.finalTrain.seeds=3,finalTrain.parallelism=8")) == (3, 3)
    assert pods(helm.render("--set=experiment.finalTrain=null")) == (1, 1)


def test_stages_name_the_values_that_they_are_made_of(defaults: Rendered) -> None:
    named = {stage: job["metadata"]["annotations"]["resnet-sweep/values"] for stage, job in defaults.stages.items()}
    assert named == {"prepare": "prepare", "sweep": "worker", "final-train": "finalTrain", "evaluate": "evaluate"}


def test_another_experiment_makes_other_jobs_of_all_stages_but_the_sweep(helm: Helm, defaults: Rendered) -> None:
    more = helm.render("--set=experiment.sweep.trials=24")
    changed = {stage for stage in STAGES if more.stages[stage]["spec"] != defaults.stages[stage]["spec"]}
    assert changed == {"prepare", "final-train", "evaluate"}
    text = defaults.experiment_file()
    checksum = defaults.stages["prepare"]["spec"]["template"]["metadata"]["annotations"]["checksum/experiment"]
    assert checksum == hashlib.sha256(text.rstrip("\n").encode()).hexdigest()


def test_a_new_version_of_the_chart_alone_makes_no_other_jobs(defaults: Rendered) -> None:
    for stage, job in defaults.stages.items():
        assert "0.1.0" not in json.dumps(job["spec"]["template"]["metadata"]), stage


def container(rendered: Rendered, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = rendered.stages[stage]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_stages_with_a_heartbeat_have_a_probe_and_no_others(rendered: Rendered) -> None:
    probed = [stage for stage in STAGES if "livenessProbe" in container(rendered, stage)]
    told = [stage for stage in STAGES if "HEARTBEAT_DIR" in {row["name"] for row in container(rendered, stage)["env"]}]
    assert probed == told == list(STAGES_WITH_HEARTBEAT)


def test_hung_processes_are_found_by_the_age_of_their_heartbeats(helm: Helm, defaults: Rendered) -> None:
    slow = helm.render("--set=lease.hangSeconds=130")
    for stage in STAGES_WITH_HEARTBEAT:
        assert container(defaults, stage)["livenessProbe"]["exec"]["command"] == [
            "sh",
            "-c",
            'test -z "$(find /tmp/heartbeats -type f -mmin +12 2>/dev/null)"',
        ]
        assert "-mmin +5 " in container(slow, stage)["livenessProbe"]["exec"]["command"][2]  # 130 s are 3 minutes
        assert {"name": "HEARTBEAT_DIR", "value": "/tmp/heartbeats"} in container(defaults, stage)["env"]


def test_only_stages_have_long_to_save_their_progress(rendered: Rendered) -> None:
    seconds = {name: pod["spec"].get("terminationGracePeriodSeconds") for name, pod in rendered.pods()}
    assert {seconds[f"Job run1-{stage}"] for stage in STAGES} == {120}
    assert seconds[f"Job {rendered.pipeline['metadata']['name']}"] == 30


def test_limits_of_time_are_set_where_asked_for(defaults: Rendered, everything: Rendered) -> None:
    assert all("activeDeadlineSeconds" not in job["spec"] for job in defaults.stages.values())
    assert {stage: job["spec"]["activeDeadlineSeconds"] for stage, job in everything.stages.items()} == {
        "prepare": 600,
        "sweep": 86400,
        "final-train": 3600,
        "evaluate": 600,
    }
    assert {job["spec"]["ttlSecondsAfterFinished"] for job in defaults.stages.values()} == {604800}


def test_finished_jobs_stay_where_asked_for(helm: Helm) -> None:
    rendered = helm.render("--set=ttlSecondsAfterFinished=null")
    assert all("ttlSecondsAfterFinished" not in job["spec"] for job in rendered.stages.values())


def test_large_numbers_stay_numbers(helm: Helm) -> None:
    rendered = helm.render("--set=ttlSecondsAfterFinished=2592000,outageDeadlineSeconds=2592000")
    sweep = rendered.stages["sweep"]["spec"]
    assert sweep["ttlSecondsAfterFinished"] == 2592000
    environment = {row["name"]: row.get("value") for row in sweep["template"]["spec"]["containers"][0]["env"]}
    assert float(environment["OUTAGE_DEADLINE_SECONDS"]) == 2592000


def test_the_stages_wait_in_their_queue(everything: Rendered) -> None:
    queues = {job["metadata"]["labels"].get("kueue.x-k8s.io/queue-name") for job in everything.stages.values()}
    assert queues == {"gpus"}


def test_kueue_may_admit_fewer_pods_where_that_is_allowed(helm: Helm, defaults: Rendered, everything: Rendered) -> None:
    def of_kueue(rendered: Rendered) -> dict[str, set[str]]:
        return {
            stage: {name for name in job["metadata"].get("annotations", {}) if name.startswith("kueue.x-k8s.io/")}
            for stage, job in rendered.stages.items()
        }

    fewer, as_few = "kueue.x-k8s.io/job-min-parallelism", "kueue.x-k8s.io/job-completions-equal-parallelism"
    none: dict[str, set[str]] = {stage: set() for stage in STAGES}
    assert of_kueue(defaults) == none
    assert of_kueue(everything) == none | {"sweep": {fewer, as_few}, "final-train": {fewer}}
    assert everything.stages["sweep"]["metadata"]["annotations"][fewer] == "1"
    alone = helm.render("--set=kueue.queueName=gpus,kueue.partialAdmission=true,worker.count=1")
    assert of_kueue(alone) == none  # Kueue refuses a Job that could not have fewer


def test_gpus_come_by_claims_where_a_template_is_named(helm: Helm, defaults: Rendered) -> None:
    claimed = helm.render("--set=gpu.resourceClaimTemplate=one-gpu,prepare.resources.requests.cpu=1")
    for stage in ("sweep", "final-train", "evaluate"):
        assert "nvidia.com/gpu" in container(defaults, stage)["resources"]["limits"]
        assert "nvidia.com/gpu" not in container(claimed, stage)["resources"].get("limits", {})
        assert container(claimed, stage)["resources"]["claims"] == [{"name": "gpus"}]
        pod = claimed.stages[stage]["spec"]["template"]["spec"]
        assert pod["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": "one-gpu"}]
    assert "resourceClaims" not in claimed.stages["prepare"]["spec"]["template"]["spec"]
    for document in claimed.documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_data_volume_is_mounted_where_data_is_prepared(everything: Rendered) -> None:
    mounted = {
        stage: any(
            mount["mountPath"] == "/data" for mount in job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        )
        for stage, job in everything.stages.items()
    }
    assert mounted == {"prepare": True, "sweep": False, "final-train": False, "evaluate": False}


def test_the_pipeline_finds_the_stages_and_its_owner(rendered: Rendered) -> None:
    pipeline = rendered.pipeline
    spec = pipeline["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"] == [
        "pipeline", "--config", "/etc/resnet-sweep/experiment.yaml",
        "--stages", "/etc/resnet-sweep/stages", "--owner", "run1-stages",
        "--revision", pipeline["metadata"]["name"].removeprefix("run1-pipeline-"),
    ]  # fmt: skip
    rules = pipeline["spec"]["podFailurePolicy"]["rules"]
    assert rules[-1]["onExitCodes"]["values"] == [EXIT_STAGE_FAILED, EXIT_CONFIGURATION]
    _, stages = spec["volumes"][0]["projected"]["sources"]
    owner = rendered.one("ConfigMap", stages["configMap"]["name"])
    assert owner["metadata"]["name"] == "run1-stages"
    paths = {item["key"]: item["path"] for item in stages["configMap"]["items"]}
    assert paths == {name: f"stages/{name}" for name in owner["data"]}
