import csv
from functools import partial

import pytest
import torch
from PIL import Image

from jobs.artifacts import Artifacts, FolderArtifacts, keys
from jobs.artifacts.checkpoints import Checkpoints
from jobs.artifacts.dataset_images import load_training_data
from jobs.artifacts.dataset_record import read_dataset
from jobs.artifacts.final_training import (
    epochs_key,
    is_trained,
    read_epochs,
    trained_model,
    trained_trial,
    weights_key,
)
from jobs.queue import best_trial
from jobs.report import predictions
from jobs.runtime import interrupt
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.final_train import stage as final_train
from jobs.stages.final_train.seed_training import TrainingFailed
from jobs.stages.sweep import stage as sweep
from resnet_core.description import NetworkConfig
from resnet_core.load import load_network
from resnet_core.model import ResNet
from resnet_core.predict import predict
from tests.local.conftest import tiny
from tests.support.studies import Studies
from tests.support.trained_result import weights_of

ONE_TRIAL = ("sweep={trials: 1, epochs: 1}", "data.limit=400", "training={optimizer: adamw, lr: 0.02, batchSize: 16}", "searchSpace={}")  # fmt: skip


def rebuilt(study: Artifacts) -> ResNet:
    model = study.read_json(keys.model_key(0))
    return study.read(weights_of(study), partial(load_network, NetworkConfig.model_validate(model["network"])))


def test_best_epoch_is_selected_by_validation(studies: Studies, root: FolderArtifacts) -> None:
    experiment = tiny(*ONE_TRIAL, "finalTrain={epochs: 6, select: best}", "training.ema=0.5")
    study = studies.copy(experiment, after=final_train, to=root)
    accuracies = [epoch.validation_accuracy for epoch in read_epochs(study, 0)]
    model = study.read_json(keys.model_key(0))
    assert len(accuracies) == 6
    assert model["epoch"] == accuracies.index(max(accuracies)) + 1
    data = load_training_data(root, experiment, read_dataset(root, "quick"), torch.device("cpu"))
    assert data.validation is not None
    precision = getattr(torch, model["precision"])
    logits = predict(rebuilt(study), data.validation.images, data.mean, data.std, precision)
    hits = (logits.argmax(1) == data.validation.labels).float().mean().item()
    assert hits == pytest.approx(max(accuracies))


def test_last_epoch_is_kept_unless_asked(studies: Studies, root: FolderArtifacts) -> None:
    study = studies.copy(tiny(*ONE_TRIAL), after=final_train, to=root)
    assert study.read_json(keys.model_key(0))["epoch"] == 3


def test_divergence_is_told_in_one_line(settings: Settings, root: FolderArtifacts) -> None:
    """One step, which is all that the trial has, is not yet too much."""
    recipe = "training={optimizer: sgd, lr: 1.0e+4, batchSize: 300, schedule: {name: constant}}"
    experiment = tiny(*ONE_TRIAL, recipe, "finalTrain={epochs: 9}")
    for stage in (prepare, sweep):
        stage.run(experiment, settings, root)
    with pytest.raises(TrainingFailed, match=r"^the (training|validation) loss of epoch \d is (nan|inf), with \{\}$"):
        final_train.run(experiment, settings, root)


def test_validation_images_can_be_trained_on_too(studies: Studies, root: FolderArtifacts) -> None:
    experiment = tiny(*ONE_TRIAL, "finalTrain={epochs: 2, data: train+validation}")
    study = studies.copy(experiment, after=evaluate, to=root)
    assert study.read_json(keys.model_key(0))["trainingImages"] == 400
    assert all(epoch.validation_accuracy is None for epoch in read_epochs(study, 0))
    assert study.exists("manifest.json")


def test_interrupted_final_training_keeps_the_best_epoch(
    settings: Settings,
    root: FolderArtifacts,
    studies: Studies,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = tiny(*ONE_TRIAL, "finalTrain={epochs: 4, select: best}")
    whole = studies.copy(experiment, after=final_train, to=FolderArtifacts(tmp_path_factory.mktemp("whole")))

    study = studies.copy(experiment, after=sweep, to=root)
    steps = iter(range(1000))
    per_epoch = 340 // 16

    def stop_in_the_third_epoch() -> None:
        if next(steps) == 2 * per_epoch + 3:
            raise interrupt.Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(interrupt, "check", stop_in_the_third_epoch)
        with pytest.raises(interrupt.Interrupted):
            final_train.run(experiment, settings, root)
    assert not study.exists(keys.model_key(0))
    final_train.run(experiment, settings, root)
    assert study.sha256(weights_of(study)) == whole.sha256(weights_of(whole))
    assert study.read_json(keys.model_key(0))["epoch"] == whole.read_json(keys.model_key(0))["epoch"]


@pytest.mark.parametrize(("asked", "precision"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_document_says_what_the_training_has_computed_in(
    studies: Studies, root: FolderArtifacts, asked: str, precision: str
) -> None:
    study = studies.copy(tiny(*ONE_TRIAL, f"training.precision={asked}"), after=final_train, to=root)
    assert study.read_json(keys.model_key(0))["precision"] == precision


@pytest.mark.parametrize("stopped_after", [1, 3])
def test_document_says_what_a_resumed_training_has_computed_in(
    settings: Settings, studies: Studies, root: FolderArtifacts, monkeypatch: pytest.MonkeyPatch, stopped_after: int
) -> None:
    """Also if nothing was left but to write the document, and whatever this machine would choose now."""
    experiment = tiny(*ONE_TRIAL, "training.precision=fp32")
    study, save = studies.copy(experiment, after=sweep, to=root), Checkpoints.save

    def begun_in_bf16(checkpoints: Checkpoints, write: partial[None]) -> None:
        checkpoint = write.args[0]
        checkpoint["training"]["arithmetic"]["precision"] = "bfloat16"
        save(checkpoints, write)
        if len(checkpoint["epochs"]) >= stopped_after:
            raise interrupt.Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", begun_in_bf16)
        with pytest.raises(interrupt.Interrupted):
            final_train.run(experiment, settings, root)
    assert not study.exists(keys.model_key(0))
    final_train.run(experiment, settings, root)
    assert study.read_json(keys.model_key(0))["precision"] == "bfloat16"


def test_sweep_without_a_complete_trial_ends_with_the_reason(settings: Settings, root: FolderArtifacts) -> None:
    experiment = tiny(*ONE_TRIAL, "searchSpace={lr: {choices: [1.0e+30]}}")
    for stage in (prepare, sweep):
        stage.run(experiment, settings, root)
    with pytest.raises(best_trial.TooFewCompleted, match=r"sweep.minCompleted=1: 0 trials of the sweep are complete"):
        final_train.run(experiment, settings, root)


def test_sweep_that_is_not_over_is_not_trained_from(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment = tiny(*ONE_TRIAL)
    studies.copy(experiment, after=prepare, to=root)
    with pytest.raises(best_trial.SweepNotOver, match=r"^1 trials of the sweep are not settled \(0/1 "):
        final_train.run(experiment, settings, root)


def test_network_that_is_not_trained_is_not_evaluated(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment = tiny(*ONE_TRIAL)
    studies.copy(experiment, after=sweep, to=root)
    with pytest.raises(
        evaluate.NotTrained, match=r"final/seed-0/model.json is not there; the final training writes it"
    ):
        evaluate.run(experiment, settings, root)


def test_sweep_that_is_not_over_is_not_evaluated(settings: Settings, root: FolderArtifacts, studies: Studies) -> None:
    """Trials were added, and of these none is settled, while the final training is that of the trials before."""
    experiment, more = (tiny(*ONE_TRIAL, f"sweep.trials={trials}") for trials in (1, 2))
    study = studies.copy(experiment, after=final_train, to=root)
    prepare.run(more, settings, root)
    with pytest.raises(best_trial.SweepNotOver, match=r"^1 trials of the sweep are not settled"):
        evaluate.run(more, settings, root)
    assert study.listing(keys.EVALUATION) == []


def test_network_of_a_trial_that_is_not_the_best_any_more_is_not_evaluated(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment = tiny(*ONE_TRIAL)
    study = studies.copy(experiment, after=final_train, to=root)
    model = study.read_json(keys.model_key(0))
    study.write_json(keys.model_key(0), model | {"trial": {"number": 7, "parameters": {}}})
    with pytest.raises(evaluate.NotTrained, match=r"model.json is of trial 7, but trial 0 is the best now$"):
        evaluate.run(experiment, settings, root)
    assert study.listing(keys.EVALUATION) == []


def test_checkpoint_of_another_trial_is_not_gone_on_from(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment = tiny(*ONE_TRIAL)
    study = studies.copy(experiment, after=sweep, to=root)
    study.write_text("final/seed-0/trial-99/checkpoint-0.pt", "of a trial that was the best once")
    final_train.run(experiment, settings, root)
    model = trained_model(study, 0)
    assert model is not None
    assert study.listing("final") == [epochs_key(model), weights_key(model), keys.model_key(0)]


def test_result_of_fewer_trials_is_no_result_once_there_are_more(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment, more = (tiny(*ONE_TRIAL, f"sweep.trials={trials}") for trials in (1, 2))
    study = studies.copy(experiment, after=evaluate, to=root)
    prepare.run(experiment, settings, root)
    assert study.exists("manifest.json")
    tested = study.read_json(keys.METRICS)
    for _ in range(2):  # also a second time, when the slot is there already
        prepare.run(more, settings, root)
        assert not study.exists("manifest.json")
    for stage in (sweep, final_train, evaluate):
        stage.run(more, settings, root)
    assert study.exists("manifest.json")
    assert study.read_json(keys.METRICS) == tested or study.read_json(keys.model_key(0))["trial"]["number"] == 1


def test_each_seed_is_a_training_of_its_own(settings: Settings, root: FolderArtifacts, studies: Studies) -> None:
    experiment = tiny(*ONE_TRIAL, "finalTrain={epochs: 2, seeds: 3}")
    study = studies.copy(experiment, after=sweep, to=root)
    final_train.run(experiment, settings.model_copy(update={"job_completion_index": 1}), root)
    assert [trained_trial(study, seed) for seed in range(3)] == [None, 0, None]
    with pytest.raises(evaluate.NotTrained, match=r"final/seed-0/model\.json is not there"):
        evaluate.run(experiment, settings, root)
    second = study.sha256(weights_of(study, 1))
    final_train.run(experiment, settings, root)
    assert is_trained(study, 0, 3)
    assert study.sha256(weights_of(study, 1)) == second
    assert len({study.sha256(weights_of(study, seed)) for seed in range(3)}) == 3

    evaluate.run(experiment, settings, root)
    metrics = study.read_json(keys.METRICS)
    tested = [seed["test"]["accuracy"] for seed in metrics["seeds"]]
    assert metrics["accuracy"]["mean"] == pytest.approx(sum(tested) / 3)
    assert metrics["accuracy"]["low"] < metrics["accuracy"]["mean"] < metrics["accuracy"]["high"]
    validated = [seed["validationAccuracy"] for seed in metrics["seeds"]]
    assert metrics["chosen"] == validated.index(max(validated))
    assert metrics["test"] == metrics["seeds"][metrics["chosen"]]["test"]
    assert metrics["weightsSha256"] == study.sha256(weights_of(study, metrics["chosen"]))


def test_predictions_say_what_the_metrics_count(studies: Studies, root: FolderArtifacts) -> None:
    study = studies.copy(tiny(*ONE_TRIAL), after=evaluate, to=root)
    rows = list(csv.DictReader(study.read_text(keys.PREDICTIONS).splitlines()))
    wrong = [row for row in rows if row["label"] != row["predicted"]]
    test = study.read_json(keys.METRICS)["test"]
    assert (len(rows), len(rows) - len(wrong)) == (60, round(60 * test["accuracy"]))
    assert all(float(row["confidence"]) >= float(row["probability_of_label"]) for row in rows)
    shown = [int(key.rpartition("/")[2].removesuffix(".png")) for key in study.listing(keys.MISTAKES)]
    worst = sorted(wrong, key=lambda row: -float(row["confidence"]))[: predictions.MOST_MISTAKES]
    assert set(shown) == {int(row["image"]) for row in worst}
    with Image.open(study.path(f"{keys.MISTAKES}/{shown[0]}.png")) as image:
        assert (image.size, image.mode) == ((32, 32), "RGB")
