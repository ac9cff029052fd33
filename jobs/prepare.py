"""The stage `prepare`: checks everything, then writes data set, study and slots."""

import logging
from typing import Any

from jobs import logs
from jobs.artifacts import Artifacts
from jobs.database import FencedStorage, connect, create_tables
from jobs.datasets import dataset_is_stored, divide, read_dataset, store_dataset
from jobs.experiment import Experiment
from jobs.experiment_file import ConfigurationError, dump_experiment, parse_experiment
from jobs.search_space import Choices, grid_points
from jobs.settings import Settings
from jobs.slots import create_slots
from jobs.study import create_study
from resnet_core.count import check_budget, count_parameters
from resnet_core.data import RawDataset, read_source
from resnet_core.device import select_device
from resnet_core.model import NetworkConfig
from resnet_core.pruning import planned_config

log = logging.getLogger(__name__)

EXPERIMENT = "experiment.yaml"


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Can be repeated: what is there already stays.

    Raises:
        ConfigurationError: the experiment cannot be run, or the study belongs to another one; nothing is written.

    """
    study = root.under(experiment.study_name)
    check_same_experiment(experiment, study)
    if not dataset_is_stored(root, experiment.study_name):
        raw = _read_checked(experiment, settings)
        study.write_text(EXPERIMENT, dump_experiment(experiment))
        store_dataset(root, experiment.study_name, experiment.data.source, raw)
    logs.keep(study.root / "logs/prepare.log", settings.log_format)
    dataset = read_dataset(root, experiment.study_name)
    log.info(
        "data: %s, %d classes, %d images to train and validate on, %d to test",
        dataset.title,
        len(dataset.classes),
        experiment.data.limit or dataset.train.images,
        experiment.data.limit_test or dataset.test.images,
    )
    if not _searches_pruning(experiment):
        network = planned_config(NetworkConfig.from_model(experiment.model, len(dataset.classes)), experiment.pruning)
        log.info("network: %d parameters of %d allowed", count_parameters(network), experiment.budget.parameters)
    create_tables(settings.database_url)
    engine = connect(settings.database_url)
    create_study(experiment, FencedStorage(settings.database_url))
    create_slots(engine, experiment.study_name, _fixed_parameters(experiment))
    engine.dispose()
    log.info(
        "study %s: %d trials of %d epochs",
        experiment.study_name,
        experiment.sweep.trials,
        experiment.sweep.epochs,
    )


def check_same_experiment(experiment: Experiment, study: Artifacts) -> None:
    """Holds the experiment against the one that the study was made for.

    Raises:
        ConfigurationError: they differ, in the fields it names.

    """
    if not study.exists(EXPERIMENT):
        return
    stored = parse_experiment(study.read_text(EXPERIMENT))
    changes = _differences(stored.model_dump(mode="json"), experiment.model_dump(mode="json"))
    if changes:
        raise ConfigurationError(
            "\n".join(
                f"{key}={after!r}: {study.root} belongs to another experiment, where it is {before!r}; "
                "choose another study.name"
                for key, before, after in changes
            )
        )


def _read_checked(experiment: Experiment, settings: Settings) -> RawDataset:
    """The data set, once it is certain that the experiment can be run on it here."""
    try:
        select_device(settings.device)
        raw = read_source(experiment.data)
        _check_data(experiment, raw)
        if not _searches_pruning(experiment):  # else every trial checks its own
            unpruned = NetworkConfig.from_model(experiment.model, len(raw.classes))
            check_budget(planned_config(unpruned, experiment.pruning), experiment.budget.parameters)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    except OSError as error:
        raise ConfigurationError(f"data.path={error.filename}: {error.strerror}") from None
    return raw


def _check_data(experiment: Experiment, raw: RawDataset) -> None:
    training, _ = divide(experiment, raw.train)
    largest, key = experiment.training.batch_size, "training.batchSize"
    searched = experiment.search_space.get("batchSize")
    if searched is not None:
        values = searched.choices if isinstance(searched, Choices) else (searched.high,)
        largest, key = max(int(value) for value in values if value is not None), "searchSpace.batchSize"
    if largest > len(training):
        raise ValueError(f"{key}={largest}: at most {len(training)}, the training images there are")
    limit = experiment.data.limit_test
    if limit is not None and limit > len(raw.test):
        raise ValueError(f"data.limitTest={limit}: at most {len(raw.test)}, the test images there are")


def _searches_pruning(experiment: Experiment) -> bool:
    return any(name.startswith("pruning.") for name in experiment.search_space)


def _fixed_parameters(experiment: Experiment) -> list[dict[str, Any]]:
    """What the slots fix: the points of a grid, else nothing."""
    if experiment.sweep.sampler.name == "grid":
        return list(grid_points(experiment.search_space))
    return [{} for _ in range(experiment.sweep.trials)]


def _differences(before: Any, after: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        changes = []
        for name in [*before, *(name for name in after if name not in before)]:
            path = f"{key}.{name}" if key else name
            changes += _differences(before.get(name), after.get(name), path)
        return changes
    return [] if before == after else [(key, before, after)]
