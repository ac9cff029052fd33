"""The folder that a person takes away, and its card."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.dataset_images import load_test_images
from jobs.artifacts.dataset_record import StoredDataset, read_dataset
from jobs.artifacts.documents import MetricsDocument, ModelDocument, read_document
from jobs.artifacts.keys import METRICS, model_key
from jobs.report.model_card import render_card
from jobs.report.model_folder import WeightsChanged, publish_model
from jobs.runtime import logs
from resnet_core.load import load_model
from tests.local.conftest import PUBLISHED, tiny
from tests.support.trained_result import weights_of

FILES = ["model/README.md", "model/model.json", "model/model.onnx", "model/model.safetensors"]
EXPERIMENT = tiny(*PUBLISHED)


def test_model_of_the_chosen_seed_goes_out_with_its_checksum(published: FolderArtifacts) -> None:
    metrics = published.read_json(METRICS)
    assert published.listing("model") == FILES
    assert published.sha256("model/model.safetensors") == metrics["weightsSha256"]
    assert published.sha256("model/model.safetensors") == published.sha256(weights_of(published, metrics["chosen"]))
    trained = published.read_json(model_key(metrics["chosen"]))
    of_training = {"weights", "epochs", "epochsSha256"}  # its files, which lie elsewhere
    expected = {name: value for name, value in trained.items() if name not in of_training}
    assert published.read_json("model/model.json") == expected | {"weightsSha256": metrics["weightsSha256"]}


def test_model_that_went_out_is_the_one_that_was_tested(published: FolderArtifacts) -> None:
    metrics, folder = published.read_json(METRICS), published.root / "model"
    root = FolderArtifacts(published.root.parent)
    test = load_test_images(root, EXPERIMENT, read_dataset(root, "quick"))
    logits = load_model(folder / "model.json", folder / "model.safetensors").logits(test.images)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (exported,) = session.run(["logits"], {"images": test.images.numpy()})
    np.testing.assert_allclose(exported, logits.numpy(), rtol=0, atol=1e-4)
    hits = (logits.argmax(1) == test.labels).sum().item()
    assert hits > 30  # of 60
    assert hits == pytest.approx(metrics["test"]["accuracy"] * len(test), abs=1)  # bf16 may turn an image
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["study"] == "quick"
    assert properties["parameters"] == str(metrics["parameters"])


def test_publishing_again_writes_the_same_and_only_that_to_the_log(
    copied: FolderArtifacts, caplog: pytest.LogCaptureFixture
) -> None:
    before = {key: copied.sha256(key) for key in FILES}
    copied.remove("model/model.json")
    logs.configure("text")
    logging.captureWarnings(capture=False)
    with caplog.at_level(logging.INFO):
        publish_model(copied, EXPERIMENT, read_document(copied, METRICS, MetricsDocument))
    assert caplog.messages == [f"model: {copied.root}/model, safetensors and ONNX, with its card"]
    assert {key: copied.sha256(key) for key in FILES} == before


def test_weights_that_were_not_tested_do_not_go_out(copied: FolderArtifacts) -> None:
    metrics = read_document(copied, METRICS, MetricsDocument)
    for key in copied.listing("model"):
        copied.remove(key)
    (copied.root / weights_of(copied, metrics.chosen)).write_bytes(
        (copied.root / weights_of(copied, 1 - metrics.chosen)).read_bytes()
    )
    with pytest.raises(
        WeightsChanged, match=rf"seed-\d/model.safetensors: sha256 \w+, but {metrics.weights_sha256} was"
    ):
        publish_model(copied, EXPERIMENT, metrics)
    assert copied.listing("model") == []


def card(study: FolderArtifacts, *overrides: str, model: dict[str, Any] | None = None, **metrics: Any) -> str:
    """The card, had the study been another in some respects."""
    tested = MetricsDocument.model_validate(study.read_json(METRICS) | metrics)
    trained = ModelDocument.model_validate(study.read_json("model/model.json") | (model or {}))
    dataset = StoredDataset.model_validate(study.read_json("dataset.json"))
    experiment = tiny(*PUBLISHED, *overrides)
    text = render_card(experiment, trained, tested, dataset)
    return " ".join(text.split())


def test_card_has_the_figures_of_the_metrics(published: FolderArtifacts) -> None:
    text, metrics = published.read_text("model/README.md"), published.read_json(METRICS)
    assert "found by 4 trials of a hyperparameter search on **scikit-learn digits**" in text
    assert f"is right on **{100 * metrics['test']['accuracy']:.0f} %** of the test images" in text
    accuracy = metrics["accuracy"]
    assert f"| mean of 2 trainings that differ in their seed alone | {100 * accuracy['mean']:.0f} % |" in text
    assert f"{100 * max(accuracy['low'], 0):.0f} % to {100 * min(accuracy['high'], 1):.0f} % |" in text
    assert f"This is the network of seed {metrics['chosen']}, the one of the best validation accuracy." in text
    assert "- 850 images trained on; 150, 15 % of every class by a seeded draw, held out" in text
    assert "60 test images, looked at once" in text
    assert "removed from a network of 5,346 parameters" in text
    assert "It was tested in bfloat16 (autocast)" in text
    assert "lr: 0.03" in text.split("## Limits")[0]


def test_card_is_headed_by_what_hubs_read(published: FolderArtifacts) -> None:
    text = published.read_text("model/README.md")
    _, header, rest = text.split("---\n", 2)
    front = yaml.safe_load(header)
    assert front["library_name"] == "pytorch"
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"name": "scikit-learn digits", "type": "digits"}
    assert result["metrics"][0]["value"] == pytest.approx(published.read_json(METRICS)["test"]["accuracy"], abs=1e-6)
    assert rest.startswith("\n# quick\n")
    assert "{{" not in text
    assert "{%" not in text


def test_card_says_what_was_not_measured(published: FolderArtifacts) -> None:
    single = card(
        published, "sweep={trials: 1, epochs: 1}", "finalTrain.seeds=1", seeds=published.read_json(METRICS)["seeds"][:1], accuracy={"mean": 0.9, "low": None, "high": None}
    )  # fmt: skip
    assert "another seed gives another network, by how much was not measured" in single
    assert "mean of" not in single
    assert "It was trained on **scikit-learn digits**" in single
    merged = card(
        published, "finalTrain.data=train+validation", model={"validationAccuracy": None, "trainingImages": 1000}
    )
    assert "1,000 images trained on. The search held 15 % of every class" in merged
    assert "the first: no images were left to choose by" in merged
    assert "not the official" not in single


def test_card_does_not_pass_another_data_set_off_as_the_official_one(published: FolderArtifacts) -> None:
    re_encoded = card(published, "data={source: cifar10, limit: 1000}", dataset="CIFAR-10 (JPEG q75)")
    assert "These images are not the official CIFAR-10 with its checksums" in re_encoded
    assert "of CIFAR-10 (JPEG q75) and do not stand beside published ones of CIFAR-10" in re_encoded
    assert "not the official" not in card(published, "data={source: cifar10, limit: 1000}", dataset="CIFAR-10")


def test_card_shows_names_as_they_are(published: FolderArtifacts) -> None:
    text = card(published, model={"classes": ["a|b", "<img src=x>", *"cdefghij"]}, dataset="my_[set]\n# heading")
    assert r"10 classes: a\|b, \<img src=x\>, c" in text
    assert r"**my\_\[set\] \# heading**" in text


def test_snippets_of_the_card_run_as_they_stand(
    copied: FolderArtifacts,
    digit_files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copied.root / "model"
    monkeypatch.chdir(folder)
    (folder / "image.png").write_bytes(digit_files[0].read_bytes())
    snippets = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), {})
    first, second = capsys.readouterr().out.split()
    assert first == second
    assert first in "0123456789"
