"""What cannot be is refused before anything is installed, in words."""

import re
from typing import Any

import pytest

from tests.support.helm import Helm, Refused, one_line

SECTIONS = [
    "", "image", "worker", "worker.resources", "finalTrain", "evaluate", "prepare", "pipeline", "gpu",
    "scheduling", "scheduling.training", "scheduling.other", "scheduling.training.affinity", "scratch", "scratch.volume",
    "data", "data.volume", "kueue", "metrics", "metrics.podMonitor", "notify", "lease", "database", "storage", "storage.caBundle", "postgresql",
    "postgresql.persistence", "postgresql.pooler", "bucket", "bucket.persistence", "networkPolicy", "networkPolicy.dns",
    "networkPolicy.database", "networkPolicy.storage", "dashboard",
    "serviceAccount",
    "experiment", "experiment.study", "experiment.data", "experiment.model", "experiment.pruning", "experiment.budget",
    "experiment.training", "experiment.training.schedule", "experiment.training.augmentation", "experiment.searchSpace",
    "experiment.searchSpace.lr", "experiment.sweep", "experiment.sweep.sampler", "experiment.sweep.earlyStopping",
    "experiment.finalTrain", "experiment.evaluation",
]  # fmt: skip


def refusal(helm: Helm, values: dict[str, Any]) -> str:
    with pytest.raises(Refused) as refused:
        helm.render(values=values)
    return one_line(str(refused.value))


def at(path: str, value: object) -> dict[str, Any]:
    tree: Any = value
    for key in reversed(path.split(".")):
        tree = {key: tree}
    assert isinstance(tree, dict)
    return tree


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_refused_by_name(helm: Helm, section: str) -> None:
    message = refusal(helm, at(f"{section}.trails" if section else "trails", 1))
    assert "trails" in message
    assert "not allowed" in message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("experiment.sweep.trials", 0, "experiment"),
        ("experiment.sweep.trials", "many", "trials"),
        ("experiment.sweep.trials", 2.5, "trials"),
        ("experiment.sweep.sampler.name", "tpee", "'cmaes'"),
        ("experiment.training.optimizer", "adamm", "'adamw'"),
        ("experiment.training.dropout", 1, "dropout"),
        ("experiment.training.lr", "0.05", "lr"),
        ("experiment.data.validation", 1.5, "validation"),
        ("experiment.study.name", "Not A Name", "name"),
        ("experiment.model.depths", [2, 0], "depths"),
        ("experiment.searchSpace.momentum", {"low": 0.1}, "high"),
        ("experiment.searchSpace.momentum", {"choices": []}, "choices"),
        ("experiment.searchSpace.momentum", {"choices": [0.1], "low": 0.1}, "low"),
        ("experiment.searchSpace.momentum", [0.1, 0.9], "momentum"),
        ("worker.count", 0, "count"),
        ("worker.gpus", 2, "gpus"),
        ("worker.gpus", "1", "gpus"),
        ("worker.processes", 0, "processes"),
        ("finalTrain.parallelism", 0, "parallelism"),
        ("finalTrain.gpus", 17, "gpus"),
        ("experiment.finalTrain.seeds", 0, "seeds"),
        ("worker.resources.limits.memory", "8 GB", "memory"),
        ("image.pullPolicy", "Sometimes", "'IfNotPresent'"),
        ("image.digest", "sha256:12", "digest"),
        ("gpu.resourceName", "gpu", "resourceName"),
        ("device", "tpu", "device"),
        ("logFormat", "xml", "'json'"),
        ("storage.url", "http://bucket", "url"),
        ("storage.endpoint", "minio:9000", "endpoint"),
        ("storage.addressing", "dns", "'virtual'"),
        ("sharedMemory", "much", "sharedMemory"),
        ("lease.seconds", -1, "seconds"),
        ("extraVolumes", [{"name": "host", "hostPath": {"path": "/"}}], "hostPath"),
        ("extraEnv", [{"name": "TWO WORDS", "value": "x"}], "name"),
        ("scheduling.training.tolerations", [{"key": "gpu", "effect": "NoEntry"}], "'NoExecute'"),
        ("networkPolicy.storage.cidrs", ["everywhere"], "cidrs"),
        ("networkPolicy.storage.ports", [70000], "ports"),
        ("networkPolicy.database.ports", [], "ports"),
        ("networkPolicy.database.pods", [{}], "pods"),
        ("networkPolicy.database.pods", [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ipBlock"),
        ("ttlSecondsAfterFinished", 0, "ttlSecondsAfterFinished"),
        ("imagePullSecrets", ["registry"], "imagePullSecrets"),
        ("podLabels", {"a": 1}, "podLabels"),
        ("extraEnv", None, "extraEnv"),
        ("lease", None, "lease"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(helm: Helm, path: str, value: object, words: str) -> None:
    message = refusal(helm, at(path, value))
    assert words in message
    assert "specifications of the schema" in message  # and not by a template that trips over it


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"storage": {"existingSecret": "bucket"}}, "storage.existingSecret=bucket: needs storage.url too"),
        ({"kueue": {"partialAdmission": True}}, "kueue.partialAdmission=true: needs kueue.queueName"),
        ({"metrics": {"podMonitor": {"enabled": True}}}, "metrics.podMonitor.enabled=true: needs metrics.enabled=true"),
        ({"storage": {"endpoint": "https://minio:9000"}}, "storage.endpoint=https://minio:9000: only with storage.url"),
        ({"storage": {"region": "eu-west-1"}}, "storage.region=eu-west-1: only with storage.url"),
        (
            {
                "storage": {
                    "url": "s3://bucket",
                    "endpoint": "https://s3",
                    "caBundle": {"configMap": "a", "secret": "b"},
                }
            },
            "storage.caBundle.configMap=a: not together with storage.caBundle.secret=b",
        ),
        (
            {"storage": {"url": "s3://bucket", "caBundle": {"secret": "b"}}},
            "storage.caBundle.secret=b: only with storage.endpoint",
        ),
        ({"lease": {"seconds": 40}}, "lease.seconds=40: at least three times lease.renewalSeconds=15"),
        ({"lease": {"renewalSeconds": 20.5}}, "lease.seconds=60: at least three times lease.renewalSeconds=20.5"),
        (
            {"data": {"volume": {"persistentVolumeClaim": {"claimName": "cifar"}}}},
            'data.volume: it is mounted at /data, so experiment.data.path has to be /data or below, not ""',
        ),
        (
            {
                "dashboard": {"enabled": True},
                "database": {"existingSecret": "db"},
                "networkPolicy": {"database": {"cidrs": ["10.1.2.3/32"]}},
            },
            "dashboard.enabled=true: with database.existingSecret=db it needs dashboard.existingSecret too",
        ),
        (
            {
                "finalTrain": {"gpus": 4},
                "experiment": {"training": {"batchSize": 66}, "searchSpace": {"batchSize": None}},
            },
            "finalTrain.gpus=4: every batch has to be a multiple of it, and batchSize=66 allows others",
        ),
        (
            {
                "finalTrain": {"gpus": 3},
                "experiment": {
                    "searchSpace": {"batchSize": {"low": None, "high": None, "step": None, "choices": [48, 64]}}
                },
            },
            'finalTrain.gpus=3: every batch has to be a multiple of it, and experiment.searchSpace.batchSize={"choices":[48,64]}',
        ),
        (
            {
                "finalTrain": {"gpus": 2},
                "experiment": {"searchSpace": {"batchSize": {"low": 64, "high": 256, "step": None}}},
            },
            'finalTrain.gpus=2: every batch has to be a multiple of it, and experiment.searchSpace.batchSize={"high":256,"low":64}',
        ),
        ({"database": {"existingSecret": "db"}}, "networkPolicy.database: say where your own database is, by cidrs"),
        ({"storage": {"url": "s3://bucket"}}, "networkPolicy.storage: say where your own bucket is, by cidrs"),
        ({"networkPolicy": {"dns": {"cidrs": [], "pods": []}}}, "networkPolicy.dns: say where the name servers are"),
        ({"image": {"tag": "latest"}}, "image.tag=latest: name a version"),
        ({"bucket": {"image": "minio:latest"}}, "bucket.image=minio:latest: name a version"),
        ({"bucket": {"server": "minio"}}, "bucket.server=minio: needs bucket.image, an image of MinIO"),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_one_line(helm: Helm, values: dict[str, Any], words: str) -> None:
    assert words in refusal(helm, values)


def test_a_release_that_its_services_cannot_be_named_after_is_refused(helm: Helm) -> None:
    with pytest.raises(Refused, match="release name 1st: a letter first"):
        helm.render(release="1st")
    own: dict[str, Any] = {"database": {"existingSecret": "database"}, "storage": {"url": "s3://bucket"}}
    own["networkPolicy"] = {"enabled": False}
    assert helm.render(release="1st", values=own).kind("Service") == []


def test_an_older_kubernetes_is_refused(helm: Helm) -> None:
    with pytest.raises(Refused, match=r"requires kubeVersion: >=1\.34"):
        helm.render("--kube-version=1.33.9")


def test_a_study_does_not_take_the_folder_of_the_data_sets(helm: Helm) -> None:
    words = "experiment.study.name=datasets: another name"
    assert words in refusal(helm, at("experiment.study.name", "datasets"))
    with pytest.raises(Refused, match=words):
        helm.render(release="datasets")


def test_experiment_that_no_config_map_holds_is_refused_with_its_size(helm: Helm) -> None:
    configurations = [
        {"lr": 0.1 + n / 10**9, "optimizer": "sgd", "dropout": 0.25, "batchSize": 64} for n in range(15_000)
    ]
    sweep = {"sampler": {"name": "manual"}, "configurations": configurations}
    message = refusal(helm, {"experiment": {"sweep": sweep | {"trials": len(configurations)}}})
    assert re.search(r"experiment: \d{6,7} bytes, at most 900000, as a ConfigMap holds it; divide sweep", message)
    fewer = sweep | {"configurations": configurations[:5000], "trials": 5000}
    assert "configurations" in helm.render(values={"experiment": {"sweep": fewer}}).experiment_file()
