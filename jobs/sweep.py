"""The stage `sweep`: one worker that runs trials until no slot is left to claim."""

import logging
import time

from jobs import interrupt, slots
from jobs.artifacts import Artifacts
from jobs.database import FencedStorage, connect
from jobs.datasets import load_training_data, read_dataset
from jobs.experiment import Experiment
from jobs.settings import Settings, owner_identity
from jobs.trial import Worker
from resnet_core.device import describe, select_device

log = logging.getLogger(__name__)


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Runs trials one after the other.

    Raises:
        Interrupted: the process was asked to end; the slot it held is free again.

    """
    study, owner = experiment.study_name, owner_identity()
    device = select_device(settings.device)
    dataset = read_dataset(root, study)
    worker = Worker(
        experiment=experiment,
        settings=settings,
        artifacts=root.under(study),
        storage=FencedStorage(settings.database_url),
        lease_engine=connect(settings.database_url),
        dataset=dataset,
        data=load_training_data(root, experiment, dataset, device),
    )
    log.info("worker %s on %s", owner, describe(device))
    while True:
        interrupt.check()
        claimed_at = time.monotonic()
        held = slots.claim(worker.storage.engine, study, owner, settings.lease_seconds)
        if held is None:
            log.info("no slot left to claim")
            return
        worker.run(held, claimed_at)
