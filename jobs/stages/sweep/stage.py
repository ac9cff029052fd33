"""The stage `sweep`: one worker that runs trials and confirmations until no slot is left to claim."""

import logging

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.dataset_images import load_training_data
from jobs.artifacts.dataset_record import read_dataset
from jobs.experiment.experiment import Experiment
from jobs.runtime.device import select_device
from jobs.runtime.errors import Failure
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.train_trial import train_trial
from jobs.stages.sweep.worker import Worker
from resnet_core.device import describe
from resnet_core.gpu_share import share_gpu

log = logging.getLogger(__name__)


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Runs trials one after the other.

    Raises:
        Interrupted: the process was asked to end; the slot it held is free again.
        NotPrepared, ConfigurationError: `prepare` has not been there, or with another experiment.
        OutageTooLong: database or artifacts were away for longer than OUTAGE_DEADLINE_SECONDS.
        Refused: the database will not have this process.
        Failure: so many processes do not fit onto the GPU.

    """
    device = select_device(settings)
    try:
        gpus = share_gpu(device, settings.gpu_processes, settings.cuda_mps_pipe_directory)
    except ValueError as error:
        raise Failure(f"PROCESSES={error}") from None
    root = WaitingArtifacts(root, Patience(settings.outage_deadline_seconds))
    worker = Worker(experiment, settings, root.under(experiment.study_name), gpus)
    try:
        dataset = read_dataset(root, experiment.study_name)
        data = load_training_data(root, experiment, dataset, device)
        log.info("worker %s on %s", worker.owner, describe(device))

        def train(run: RunningTrial) -> None:
            train_trial(run, run.experiment, dataset, data, settings.gpu_processes)

        worker.work(train)
    finally:
        worker.close()
