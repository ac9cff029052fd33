"""Results of studies that nobody ran, of any size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optuna.trial import FrozenTrial, TrialState

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.documents import AccuracyOfSeeds, ChosenTrial, MetricsDocument, ModelDocument, SeedMetrics
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.experiment.search_space import Choices, is_active, ordered
from jobs.queue.claimed_trial import OVER_BUDGET
from jobs.queue.ledger import Usage
from jobs.queue.optuna_values import parameters_of, stored_parameters
from jobs.queue.status import SweepStatus, TrialStatus, ranking
from jobs.queue.study import distributions
from jobs.queue.tables import SlotState
from jobs.report.predictions import write_predictions
from jobs.report.study_results import StudyResults
from resnet_core.count import count_macs, count_parameters
from resnet_core.data import Images
from resnet_core.description import NetworkConfig
from resnet_core.epoch import EpochResult
from resnet_core.metrics import compute_metrics, mean_interval

COMPLETE, STOPPED_EARLY = SlotState.COMPLETE, SlotState.STOPPED_EARLY
VALIDATION_IMAGES = 5_000
OF_OPTUNA = {SlotState.COMPLETE: TrialState.COMPLETE, SlotState.FAILED: TrialState.FAIL}


@dataclass(frozen=True)
class Ran:
    """A slot: how it ended, and the accuracies of its epochs; parameters are drawn where none are given."""

    state: SlotState = COMPLETE
    accuracies: tuple[float, ...] = (0.5, 0.8)
    parameters: dict[str, Any] | None = None
    began: bool = True
    excess: int | None = None
    attributes: dict[str, Any] = field(default_factory=lambda: {"parameters": 50_000, "macs": 9_000_000})


def experiment(*overrides: str, preset: str = "quick") -> Experiment:
    return load_experiment(preset, None, list(overrides))


def study_results(
    experiment: Experiment,
    ran: list[Ran],
    *,
    seeds: int = 1,
    classes: int = 10,
    epochs: int = 3,
    gpus: float = 0,
    confirmed: Sequence[tuple[float, ...]] = (),
) -> StudyResults:
    """Their network is that of the experiment without pruning; `confirmed` has the confirmations of each place."""
    draw = np.random.default_rng(0)
    space = experiment.searched
    statuses, trials = [], []
    for slot, one in enumerate(ran):
        parameters = _draw(experiment, draw) if one.parameters is None else one.parameters
        number = len(trials) if one.began else None
        if one.began:
            own = stored_parameters({name: value for name, value in parameters.items() if name in space})
            trials.append(_trial(experiment, len(trials), one, own))
        last = one.accuracies[-1] if one.accuracies else None
        seconds = 10.0 * len(one.accuracies) if one.began else None
        message = None if one.state is COMPLETE else f"because it is {one.state}"
        statuses.append(
            TrialStatus(
                slot=slot,
                number=number,
                state=one.state,
                parameters=parameters_of(trials[-1]) if one.began else {},
                epoch=len(one.accuracies),
                accuracy=last,
                seconds=seconds,
                message=message,
            )
        )
    used = {status.slot: status.seconds or 0.0 for status in statuses}
    hours = sum(used.values()) / 3600
    places = [(trial, one) for trial, own in zip(ranking(statuses), confirmed, strict=False) for one in own]
    confirmations = [
        TrialStatus(
            slot=slot,
            work="confirmation",
            number=slot,
            state=COMPLETE,
            parameters=trial.parameters,
            epoch=experiment.sweep.epochs,
            accuracy=accuracy,
            seconds=20.0,
        )
        for slot, (trial, accuracy) in enumerate(places)
    ]
    status = SweepStatus(statuses, Usage(hours / 2, hours * gpus, used), confirmations, VALIDATION_IMAGES)
    best = status.best if status.winner is None else status.winner.trial
    assert best is not None
    merged = experiment.final_train.data == "train+validation"
    trained = [
        EpochResult(n, 0.1, 2 / n, n / epochs / 2, *(None, None) if merged else (1.5 / n, n / epochs / 2), 3.0)
        for n in range(1, epochs + 1)
    ]
    network = NetworkConfig.from_model(experiment.with_parameters(best.parameters).model, classes)
    models = [_model(network, best, seed, trained, classes) for seed in range(seeds)]
    return StudyResults(experiment, _metrics(experiment, models), models, [trained] * seeds, status, trials)


def store(root: Path, results: StudyResults) -> FolderArtifacts:
    """A folder with what `evaluate` writes before the report."""
    artifacts = FolderArtifacts(root / results.experiment.study_name)
    images, logits = _test_images(len(results.model.classes))
    write_predictions(artifacts, images, logits, results.model.classes)
    return artifacts


def _draw(experiment: Experiment, draw: np.random.Generator) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    spaces = distributions(experiment)
    for name in ordered(experiment.searched):
        parameter = experiment.searched[name]
        if not is_active(parameter, parameters):
            continue
        if isinstance(parameter, Choices):
            parameters[name] = parameter.choices[draw.integers(len(parameter.choices))]
            continue
        low, high = (np.log(end) if parameter.log else end for end in (parameter.low, parameter.high))
        value = draw.uniform(low, high)
        value = float(np.clip(np.exp(value) if parameter.log else value, parameter.low, parameter.high))
        space = spaces[name]
        parameters[name] = (
            space.to_external_repr(space.to_internal_repr(value)) if parameter.step is None else parameter.low
        )
        if isinstance(experiment.field_value(name, parameter.low), int):
            parameters[name] = int(parameters[name])
    return parameters


def _trial(experiment: Experiment, number: int, one: Ran, parameters: dict[str, Any]) -> FrozenTrial:
    spaces = distributions(experiment)
    state = OF_OPTUNA.get(one.state, TrialState.PRUNED)
    values = None
    if state is TrialState.COMPLETE:
        values = [one.accuracies[-1], *(float(one.attributes[size]) for size in experiment.sweep.objectives[1:])]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return FrozenTrial(
        number=number,
        state=state,
        value=None,
        values=values,
        datetime_start=now,
        datetime_complete=now,
        params=parameters,
        distributions={name: spaces[name] for name in parameters},
        user_attrs=one.attributes,
        system_attrs={f"constraints:{OVER_BUDGET}": one.excess} if one.excess else {},
        intermediate_values=dict(enumerate(one.accuracies, 1)),
        trial_id=number,
    )


def _model(
    network: NetworkConfig, best: TrialStatus, seed: int, epochs: list[EpochResult], classes: int
) -> ModelDocument:
    assert best.number is not None
    return ModelDocument(
        network=network,
        parameters=count_parameters(network),
        macs=count_macs(network, 32),
        classes=tuple(str(index) if classes == 10 else f"class {index}" for index in range(classes)),
        image_size=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        trial=ChosenTrial(number=best.number, parameters=best.parameters),
        seed=seed,
        epoch=len(epochs),
        training_images=1000,
        precision="float32",
        seconds=30.0,
        validation_accuracy=epochs[-1].validation_accuracy,
    )


def _metrics(experiment: Experiment, models: list[ModelDocument]) -> MetricsDocument:
    images, logits = _test_images(len(models[0].classes))
    test = compute_metrics(logits, images.labels)
    seeds = [
        SeedMetrics(
            seed=model.seed,
            validation_accuracy=model.validation_accuracy,
            test=test.model_copy(update={"accuracy": test.accuracy + 0.001 * model.seed}),
            weights_sha256="ab" * 32,
        )
        for model in models
    ]
    mean, low, high = mean_interval([seed.test.accuracy for seed in seeds])
    return MetricsDocument(
        dataset="invented digits",
        parameters=models[0].parameters,
        budget=max(experiment.budget.parameters, models[0].parameters),
        macs=models[0].macs,
        accuracy=AccuracyOfSeeds(mean=mean, low=low, high=high),
        chosen=0,
        test=test,
        weights_sha256="ab" * 32,
        seeds=tuple(seeds),
        environment={"device": "CPU", "resnet-sweep": "0.1.0"},
    )


def _test_images(classes: int) -> tuple[Images, torch.Tensor]:
    """300 images, of which about a third is taken for another class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % classes
    pixels = torch.randint(256, (300, 3, 32, 32), generator=generator, dtype=torch.uint8)
    logits = torch.randn(300, classes, generator=generator)
    logits[torch.arange(300), labels] += 2
    return Images(pixels, labels), logits
