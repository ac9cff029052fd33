"""The stage `prepare`: checks everything, then writes data set, study and slots."""

import logging
import secrets
from contextlib import closing

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.dataset_images import divide, store_dataset
from jobs.artifacts.dataset_record import StoredDataset, dataset_is_stored, read_dataset
from jobs.artifacts.guarded import GuardedArtifacts
from jobs.artifacts.keys import EXPERIMENT, IDENTITY, MANIFEST
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment
from jobs.experiment.network_space import searches_network
from jobs.experiment.search_space import end_points
from jobs.queue.compatibility import check_artifacts, check_result, check_study
from jobs.queue.create import create_study_and_slots, create_tables
from jobs.queue.database import Database
from jobs.queue.exclusive import RESULT, exclusively
from jobs.runtime.device import select_device
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.stages.network_check import check_networks
from resnet_core.build import planned_network
from resnet_core.count import count_parameters
from resnet_core.data import RawDataset, read_source
from resnet_core.shown_text import is_name, visible

log = logging.getLogger(__name__)


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Can be repeated: what exists already stays as it is, and trials that are more than before are added.

    Raises:
        ConfigurationError: the experiment cannot be run, or the study belongs to another one or to other
            artifacts; nothing is written.
        LeaseLost: another process prepares or evaluates the study.
        OutageTooLong: database or artifacts were away for longer than OUTAGE_DEADLINE_SECONDS.
        Refused: the database will not have this process.

    """
    name = experiment.study_name
    root = WaitingArtifacts(root, Patience(settings.outage_deadline_seconds))
    check_result(experiment, root.under(name))
    raw = None if dataset_is_stored(root, name) else _read_checked(experiment, settings)
    with closing(Database.of(settings)) as database:
        check_study(experiment, database)
        check_artifacts(experiment, database, root.under(name))
        create_tables(database)
        with exclusively(database, settings, name, RESULT) as hold:
            guarded = GuardedArtifacts(root, hold.check)
            check_study(experiment, database)  # again, as another process may have prepared the study meanwhile
            identity = check_artifacts(experiment, database, root.under(name))
            if identity is None:
                identity = secrets.token_hex(16)
                guarded.under(name).write_text(IDENTITY, identity)
            if raw is not None:
                store_dataset(guarded, experiment, raw)
            guarded.under(name).write_text(EXPERIMENT, dump_experiment(experiment))
            dataset = read_dataset(root, name)
            _tell(experiment, dataset)
            added, unsettled = create_study_and_slots(
                experiment, database, hold.claim, identity, dataset.validation_images
            )
            if unsettled:
                guarded.under(name).remove(MANIFEST)  # a result of fewer trials is no longer the result
    sweep = experiment.sweep
    log.info("study %s: %d trials of %d epochs, %d of them new", name, sweep.trials, sweep.epochs, added)
    if sweep.confirm is not None:
        log.info("then the %d best are confirmed, %d times each", sweep.confirm.trials, sweep.confirm.seeds)


def _tell(experiment: Experiment, dataset: StoredDataset) -> None:
    train, test = experiment.data.limit or dataset.train.images, experiment.data.limit_test or dataset.test.images
    title, classes, validation = dataset.title, len(dataset.classes), dataset.validation_images
    parts = f"{train} images to train and validate on"  # of a study that 0.1.0 has prepared
    if validation is not None:
        parts = f"{train - validation} images to train on, {validation} to validate on"
    log.info("data: %s, %d classes, %s, %d to test on", title, classes, parts, test)
    if not searches_network(experiment.searched):
        network = planned_network(experiment.model, experiment.pruning, classes)
        log.info("network: %d parameters of %d allowed", count_parameters(network), experiment.budget.parameters)


def _read_checked(experiment: Experiment, settings: Settings) -> RawDataset:
    """Reads the data set and makes sure that the experiment can be run on it here."""
    try:
        select_device(settings)
        raw = read_source(experiment.data)
        _check_names(experiment, raw)
        _check_data(experiment, raw)
        check_networks(experiment, len(raw.classes), raw.train.images.shape[-1])
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    except OSError as error:
        raise ConfigurationError(f"data.path={error.filename}: {error.strerror}") from None
    return raw


def _check_names(experiment: Experiment, raw: RawDataset) -> None:
    """The names stand in everything that is written from here on, and some of it takes no other."""
    place = f"data.path={experiment.data.path}: "
    title = "data.title" if experiment.data.title else f"{place}the folder's name"
    for what, name in ((title, raw.title), *((f"{place}class", name) for name in raw.classes)):
        if not is_name(name):
            raise ValueError(f"{what} '{visible(name)}' cannot be shown as it is; printable characters expected")


def _check_data(experiment: Experiment, raw: RawDataset) -> None:
    training, _ = divide(experiment, raw.train)
    largest, key = experiment.training.batch_size, "training.batchSize"
    searched = experiment.searched.get("batchSize")
    if searched is not None:
        largest, key = max(int(v) for v in end_points(searched) if isinstance(v, int | float)), "searchSpace.batchSize"
    if largest > len(training):
        raise ValueError(f"{key}={largest}: at most {len(training)}, the training images there are")
    limit = experiment.data.limit_test
    if limit is not None and limit > len(raw.test):
        raise ValueError(f"data.limitTest={limit}: at most {len(raw.test)}, the test images there are")
