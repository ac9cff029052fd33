"""What a trial of the sweep does: build, prune, train, validate."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from jobs.artifacts.dataset_record import StoredDataset
from jobs.experiment.experiment import Experiment
from jobs.experiment.parameters import Configuration
from jobs.queue.tables import SlotState
from jobs.runtime import logs
from jobs.stages.sweep.running_trial import AttemptFails, DeviceFailed, RunningTrial, TrialEnds
from resnet_core.batches import TrainingData, balanced_batch
from resnet_core.build import build_network, planned_network
from resnet_core.checkpoint import load_checkpoint, save_checkpoint
from resnet_core.count import BudgetExceeded, check_budget, count_macs, count_parameters
from resnet_core.device_failure import is_device_failure
from resnet_core.epoch import EpochResult
from resnet_core.model import ResNet
from resnet_core.out_of_memory import describe_out_of_memory, free_memory, is_out_of_memory
from resnet_core.pruning import TargetOutOfReach
from resnet_core.seeds import derive_seed
from resnet_core.train import Diverged, train
from resnet_core.training_state import Checkpoint


def train_trial(
    run: RunningTrial, experiment: Experiment, dataset: StoredDataset, data: TrainingData, processes: int = 1
) -> None:
    """Trains with the trial's parameters, from the newest checkpoint on if there is one.

    Args:
        run: the trial.
        experiment: the sweep's.
        dataset: what the study knows of the images.
        data: the images.
        processes: how many train at once here, for advice.

    Raises:
        TrialEnds: over budget, diverged or stopped early.
        AttemptFails: out of memory; what the trial held of it is free again.
        DeviceFailed: the device has failed otherwise.

    """
    try:
        _train(run, experiment, dataset, data)
    except Exception as error:
        if is_device_failure(error):
            reason = str(error).strip().partition("\n")[0]
            raise DeviceFailed(f"{data.train.images.device} has failed: {reason}") from error
        if not is_out_of_memory(error):
            raise
        message = _out_of_memory(error, run, experiment, data, processes)
    else:
        return
    free_memory()
    raise AttemptFails(message)


def _train(run: RunningTrial, experiment: Experiment, dataset: StoredDataset, data: TrainingData) -> None:
    run.validation_images = dataset.validation_images
    own = experiment.with_parameters(run.parameters)
    _check_budget(run, experiment, own, dataset)
    recipe = own.training
    device, classes, seed = data.train.images.device, len(dataset.classes), derive_seed(experiment.seed, run.slot)
    batch = balanced_batch(data, recipe.batch_size, seed)
    network = build_network(own.model, own.pruning, classes, dropout=recipe.dropout, seed=seed, batch=batch)
    network.to(device)
    saved = run.resume(load_checkpoint)
    if saved:
        run.take_up([EpochResult(**row) for row in saved["epochs"]])

    def prepare(training: Checkpoint) -> Callable[[Path], None]:
        return partial(save_checkpoint, {"training": training, "epochs": [asdict(epoch) for epoch in run.epochs]})

    def on_epoch(result: EpochResult, _evaluated: ResNet) -> None:
        with logs.context(epoch=result.epoch):
            run.finish_epoch(result)

    try:
        with run.checkpoint_writer(prepare) as writer:
            train(
                network,
                recipe,
                data,
                experiment.sweep.epochs,
                seed=derive_seed(seed, "training"),
                checkpoint=saved["training"] if saved else None,
                saver=writer,
                on_step=run.step,
                on_epoch=on_epoch,
            )
    except Diverged as error:
        raise TrialEnds(SlotState.DIVERGED, str(error)) from None


def _out_of_memory(
    error: Exception, run: RunningTrial, experiment: Experiment, data: TrainingData, processes: int
) -> str:
    recipe = experiment.with_parameters(run.parameters).training
    searched = "batchSize" in experiment.searched
    advice = f"smaller batches need less ({'searchSpace' if searched else 'training'}.batchSize)"
    if processes > 1:
        advice += f", and so do fewer than {processes} processes at once (PROCESSES, worker.processes in the chart)"
    doing = f"with batches of {recipe.batch_size}"
    if "parameters" in run.facts:
        doing += f" and a network of {run.facts['parameters']:,} parameters"
    return describe_out_of_memory(error, data.train.images.device, doing, advice)


def _check_budget(run: RunningTrial, experiment: Experiment, own: Configuration, dataset: StoredDataset) -> None:
    try:
        network = planned_network(own.model, own.pruning, len(dataset.classes))
        run.note(parameters=count_parameters(network), macs=count_macs(network, dataset.image_size))
        check_budget(network, experiment.budget.parameters)
    except (BudgetExceeded, TargetOutOfReach) as error:
        run.note_excess(error.excess)
        raise TrialEnds(SlotState.INFEASIBLE, str(error)) from None
