from typing import Any

import pytest
from pydantic import TypeAdapter

from jobs.runtime.settings import Settings, read_settings
from tests.chart.test_pods import OURS, component
from tests.support.helm import EVERYTHING, Helm, Rendered

FIELDS = {name.upper() for name in Settings.model_fields}
SET_BY_KUBERNETES = {"JOB_COMPLETION_INDEX"}  # in the pods of an indexed Job
SET_BY_LAUNCHER = {"RANK", "RANKS_ADDRESS", "LAUNCHER_PID"}  # in ranks and other processes that ours start
SET_BY_PROCESSES = {"GPU_PROCESSES"}  # for those they start
SET_BY_DEVICE_PLUGIN = {"CUDA_MPS_PIPE_DIRECTORY"}
SET_BY_OTHERS = SET_BY_KUBERNETES | SET_BY_LAUNCHER | SET_BY_PROCESSES | SET_BY_DEVICE_PLUGIN
WITH_OWN_SERVICES = {"ENV_FILE"}  # whose passwords the pipeline makes
BY_EXTRA_ENV = {"DATABASE_TIMEOUT_SECONDS", "STORAGE_TIMEOUT_SECONDS"}  # they follow from RENEWAL_SECONDS
LIMITS = (
    "LEASE_SECONDS",
    "RENEWAL_SECONDS",
    "HANG_SECONDS",
    "CHECKPOINT_SECONDS",
    "OUTAGE_DEADLINE_SECONDS",
    "MAX_ATTEMPTS",
    "MAX_CRASHES",
    "LOG_FORMAT",
)
OF_OTHERS = {
    "postgresql": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PGDATA", "POSTGRES_INITDB_ARGS"},
    "bucket": {"ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY"},
    "dashboard": {"DATABASE_URL", "HOME"},
}
SECRET = {
    "DATABASE_URL",
    "NOTIFY_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "POSTGRES_PASSWORD",
}


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    rows = pod["spec"]["containers"][0]["env"]
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names)), names  # the API server merges by name
    return {row["name"]: row.get("value", row.get("valueFrom")) for row in rows}


def test_every_variable_is_a_setting(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        allowed = FIELDS if component(pod) in OURS else OF_OTHERS[component(pod)]
        assert set(environment(pod)) <= allowed, name


def test_every_setting_can_be_set(helm: Helm, defaults: Rendered, everything: Rendered) -> None:
    """Each by a value of the chart; the few that follow from others by extraEnv."""
    assert environment(defaults.pipeline["spec"]["template"]).keys() >= WITH_OWN_SERVICES
    given = {name for _, pod in everything.pods() if component(pod) in OURS for name in environment(pod)}
    assert given | SET_BY_OTHERS | WITH_OWN_SERVICES == FIELDS
    without = helm.render(f"--values={EVERYTHING}", "--set-json=extraEnv=[]")
    given = {name for _, pod in without.pods() if component(pod) in OURS for name in environment(pod)}
    assert given | SET_BY_OTHERS | WITH_OWN_SERVICES | BY_EXTRA_ENV == FIELDS


def test_the_processes_take_their_environment(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
    for name, pod in rendered.pods():
        if component(pod) not in OURS:
            continue
        with monkeypatch.context() as place:
            for key, value in environment(pod).items():
                place.setenv(key, value if isinstance(value, str) else _from_secret(key))
            settings = read_settings()
            assert settings.artifacts_url.startswith("s3://"), name
            assert settings.database_url == _from_secret("DATABASE_URL"), name


def test_limits_are_by_default_those_of_the_settings(defaults: Rendered) -> None:
    """The chart repeats them in values.yaml, where its users change them."""
    for _, pod in defaults.pods():
        if component(pod) in OURS:
            given = environment(pod)
            for name in LIMITS:
                field = Settings.model_fields[name.lower()]
                assert TypeAdapter(field.annotation).validate_python(given[name]) == field.default, name


def test_values_become_settings(everything: Rendered) -> None:
    given = environment(everything.stages["sweep"]["spec"]["template"])
    assert given["DATABASE_URL"] == {"secretKeyRef": {"name": "database", "key": "uri", "optional": False}}
    assert given["ARTIFACTS_URL"] == "s3://bucket/some/prefix"
    assert given["AWS_ENDPOINT_URL"] == "https://minio.example:9443"
    assert given["AWS_REGION"] == "eu-central-1"
    assert given["S3_ADDRESSING"] == "virtual"
    assert given["AWS_CA_BUNDLE"] == "/etc/resnet-sweep-ca/ca.crt"
    assert given["LOG_FORMAT"] == "json"
    assert given["PROCESSES"] == "2"
    assert given["THREADS"] == "2"  # of extraEnv
    assert "NOTIFY_URL" not in given
    (pipeline,) = [pod for _, pod in everything.pods() if component(pod) == "pipeline"]
    assert environment(pipeline)["NOTIFY_URL"] == {"secretKeyRef": {"name": "chat", "key": "address"}}
    assert "METRICS_PORT" not in given
    assert environment(pipeline)["METRICS_PORT"] == "9465"


@pytest.mark.parametrize(
    ("worker", "threads"),
    [
        ({"resources": {"requests": {"cpu": "3"}}}, "3"),
        ({"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": 8}}}, "8"),
        ({"resources": {"requests": {"cpu": "1500m"}}}, "2"),
        ({"resources": {"requests": {"cpu": "8"}}, "processes": 3}, "2"),
        ({"resources": {"requests": {"cpu": "500m"}}, "processes": 4}, "1"),
        ({"resources": {"requests": {"cpu": None}}}, None),
    ],
)
def test_threads_are_a_process_share_of_the_cpus(helm: Helm, worker: dict[str, Any], threads: str | None) -> None:
    given = environment(helm.render(values={"worker": worker}).stages["sweep"]["spec"]["template"])
    assert given.get("THREADS") == threads


@pytest.mark.parametrize(("gpus", "ranks", "threads"), [(0, "1", "8"), (1, "1", "8"), (4, "4", "2")])
def test_final_training_has_a_rank_a_gpu(helm: Helm, gpus: int, ranks: str, threads: str) -> None:
    values = {"finalTrain": {"gpus": gpus, "resources": {"requests": {"cpu": "8"}}}}
    given = environment(helm.render(values=values).stages["final-train"]["spec"]["template"])
    assert (given["RANKS"], given["THREADS"]) == (ranks, threads)


def test_a_gpu_that_is_asked_for_is_used(helm: Helm, defaults: Rendered) -> None:
    def devices(rendered: Rendered) -> dict[str, str]:
        return {stage: environment(job["spec"]["template"])["DEVICE"] for stage, job in rendered.stages.items()}

    assert devices(defaults) == {"prepare": "cpu", "sweep": "cuda", "final-train": "cuda", "evaluate": "cuda"}
    assert devices(helm.render("--set=worker.gpus=0,evaluate.gpus=0")) == {
        "prepare": "cpu", "sweep": "cpu", "final-train": "cuda", "evaluate": "cpu",
    }  # fmt: skip
    assert set(devices(helm.render("--set=device=auto")).values()) == {"auto"}


def test_credentials_come_from_secrets_alone(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        for key, value in environment(pod).items():
            if key in SECRET:
                assert list(value) == ["secretKeyRef"], (name, key)


def test_only_the_pipeline_starts_without_its_secrets(rendered: Rendered) -> None:
    """It says in its log what is missing; in any other process that would be a surprise, or another identity."""
    for name, pod in rendered.pods():
        if component(pod) in OURS:
            given = environment(pod)
            for key in ("DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                assert given[key]["secretKeyRef"]["optional"] == (component(pod) == "pipeline"), name


def test_the_chart_holds_no_secret(rendered: Rendered) -> None:
    """The pipeline makes them, and puts a password where the chart says so."""
    assert rendered.kind("Secret") == []
    for secret in rendered.secrets.values():
        assert any("$password" in text for text in secret["stringData"].values())


def test_without_a_secret_the_cloud_gives_the_identity(helm: Helm) -> None:
    own = "--set=storage.url=s3://bucket/prefix,storage.region=eu-west-1"
    rendered = helm.render(own, "--set=networkPolicy.storage.cidrs={0.0.0.0/0}")
    given = environment(rendered.stages["sweep"]["spec"]["template"])
    assert not {name for name in given if name.startswith("AWS_")} - {"AWS_REGION"}
    assert {document["metadata"]["name"] for document in rendered.kind("StatefulSet")} == {"run1-postgresql"}


def _from_secret(name: str) -> str:
    urls = {"DATABASE_URL": "postgresql://user:password@host:5432/sweeps", "NOTIFY_URL": "https://chat.example/secret"}
    return urls.get(name, "from-a-secret")
