"""The stage `final-train`: the network of the best trial, trained to the end."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial

import torch
from safetensors.torch import save_file

from jobs.artifacts import Artifacts, WaitingArtifacts, keys
from jobs.artifacts.checkpoints import Checkpoints
from jobs.artifacts.dataset_images import load_training_data
from jobs.artifacts.dataset_record import StoredDataset, read_dataset
from jobs.artifacts.documents import ChosenTrial, ModelDocument, write_document
from jobs.artifacts.final_training import trained_trial
from jobs.experiment.experiment import Experiment
from jobs.queue.best_trial import read_best_trial
from jobs.runtime import interrupt, logs
from jobs.runtime.device import select_device
from jobs.runtime.errors import Failure
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.stages.final_train.progress import Progress
from jobs.stages.final_train.ranks import end_with
from resnet_core.build import build_network
from resnet_core.config import PruningConfig, TrainingConfig
from resnet_core.count import check_budget, count_macs, count_parameters
from resnet_core.device import describe, select_precision
from resnet_core.distributed import ALONE, Group, RankLost, Ranks
from resnet_core.model import ResNet
from resnet_core.out_of_memory import describe_out_of_memory, is_out_of_memory
from resnet_core.seeds import derive_seed
from resnet_core.train import Diverged, TrainingData, balanced_batch, train

log = logging.getLogger(__name__)


class TrainingFailed(Failure):
    """The training could not be finished: it diverged, or ran out of memory."""


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Trains with the parameters of the best complete trial, once for each seed; continues from the last checkpoint.

    With JOB_COMPLETION_INDEX, this process trains only the seed of that number. If trials were added and another one is
    the best now, the final training is done again. Of several ranks, only the first writes.

    Raises:
        Interrupted: the process was asked to end; the checkpoint of the last epoch is kept.
        SweepNotOver: some trials are not settled.
        TooFewCompleted: fewer trials than sweep.minCompleted are complete.
        TrainingFailed: the loss became infinite or not a number, or memory ran out.
        OutageTooLong, Refused: database or artifacts cannot be reached.

    """
    if settings.launcher_pid is not None:
        end_with(settings.launcher_pid)
    device = select_device(settings)
    seeds = range(experiment.final_train.seeds)
    if settings.job_completion_index is not None:
        seeds = range(settings.job_completion_index, settings.job_completion_index + 1)
    try:
        with _group(settings, device) as group:
            training = _FinalTraining(experiment, settings, root, device, group)
            for seed in seeds:
                training.train(seed)
    except RankLost:  # the lost rank logged the reason; gloo waits for it in threads that would abort a normal exit
        logging.shutdown()
        os._exit(interrupt.EXIT_INTERRUPTED)


@contextmanager
def _group(settings: Settings, device: torch.device) -> Iterator[Group]:
    if settings.ranks == 1:
        yield ALONE
        return
    rank, size, address = settings.own_rank, settings.ranks, settings.ranks_address
    ranks = Ranks(device, interrupt.beat, rank=rank, size=size, address=address)
    try:
        yield ranks
    except interrupt.Interrupted:
        ranks.leave()
        raise
    ranks.close()


class _FinalTraining:
    """The final trainings that this process does, one for each of its seeds. The images are loaded only once."""

    def __init__(
        self, experiment: Experiment, settings: Settings, root: Artifacts, device: torch.device, group: Group
    ) -> None:
        self._experiment, self._settings, self._device, self._group = experiment, settings, device, group
        self._root = WaitingArtifacts(root, Patience(settings.outage_deadline_seconds))
        self._artifacts = self._root.under(experiment.study_name)
        best = read_best_trial(experiment, settings)
        self._best = ChosenTrial(number=best.number, parameters=best.parameters)
        logs.add_context(trial=best.number)

    def train(self, seed: int) -> None:
        """Does what is not yet done of the training with one seed."""
        if self._group.first(lambda: self._is_done(seed)):
            return
        recipe, pruning = self._experiment.with_parameters(self._best.parameters)
        try:
            self._train(seed, recipe, pruning)
        except Diverged as error:
            raise TrainingFailed(f"{error}, with {json.dumps(self._best.parameters, allow_nan=False)}") from None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            advice = "it takes a device with more memory, or several that share each batch (finalTrain.gpus)"
            doing = f"with batches of {recipe.batch_size}"
            raise TrainingFailed(describe_out_of_memory(error, self._device, doing, advice)) from None

    def _train(self, seed: int, recipe: TrainingConfig, pruning: PruningConfig) -> None:
        artifacts, best = self._artifacts, self._best
        experiment, device, ranks = self._experiment, self._device, self._group.size
        dataset, data = self._data
        own_seed = derive_seed(experiment.seed, "final", *([seed] if seed else []))
        batch, classes = balanced_batch(data, recipe.batch_size, own_seed), len(dataset.classes)
        network = build_network(experiment.model, pruning, classes, dropout=recipe.dropout, seed=own_seed, batch=batch)
        network.to(device)
        check_budget(network.config(), experiment.budget.parameters)
        parameters = json.dumps(best.parameters, allow_nan=False)
        place = describe(device) if ranks == 1 else f"{ranks} x {describe(device)}"
        log.info("final training%s of trial %d on %s: %s", self._name(seed), best.number, place, parameters)

        checkpoints = Checkpoints(artifacts, keys.final_checkpoints_prefix(seed, best.number))
        progress = Progress(artifacts, checkpoints, experiment.final_train, seed)
        trained = train(
            network,
            recipe,
            data,
            experiment.final_train.epochs,
            seed=derive_seed(own_seed, "training"),
            group=self._group,
            checkpoint=progress.resume(device),
            on_step=self._on_step,
            on_epoch=progress.on_epoch,
        )
        self._group.first(lambda: self._write(seed, progress, trained, recipe))

    def _is_done(self, seed: int) -> bool:
        """Whether this training is done already; if it was done with another trial's parameters, that is removed."""
        artifacts, best = self._artifacts, self._best
        done_for = trained_trial(artifacts, seed)
        if done_for == best.number:
            log.info("the final training%s is done", self._name(seed))
            Checkpoints(artifacts, keys.final_prefix(seed)).remove()
            return True
        if done_for is not None:
            log.info("trial %d is better than trial %d, whose final training is dropped", best.number, done_for)
            _remove(artifacts, seed)
        return False

    def _on_step(self) -> None:
        """Raises Interrupted in all ranks before the same step: if one ended alone, the others would wait for it."""
        if self._group.size == 1:
            interrupt.check()
            return
        interrupt.beat()
        if self._group.any(interrupt.requested()):
            raise interrupt.Interrupted

    def _write(self, seed: int, progress: Progress, trained: ResNet, recipe: TrainingConfig) -> None:
        artifacts, config, (dataset, data) = self._artifacts, trained.config(), self._data
        weights = {name: tensor.contiguous() for name, tensor in progress.chosen_weights(trained).items()}
        artifacts.write(keys.weights_key(seed), partial(save_file, weights))
        bf16 = select_precision(recipe.precision, self._device) is torch.bfloat16
        model = ModelDocument(
            network=config,
            parameters=count_parameters(config),
            macs=count_macs(config, dataset.image_size),
            classes=dataset.classes,
            image_size=dataset.image_size,
            mean=data.mean.tolist(),
            std=data.std.tolist(),
            trial=self._best,
            epoch=progress.chosen_epoch.epoch,
            validation_accuracy=progress.chosen_epoch.validation_accuracy,
            training_images=len(data.train),
            seconds=sum(epoch.seconds for epoch in progress.epochs),
            seed=seed,
            precision="bfloat16" if bf16 else "float32",
            ranks=self._group.size,
        )
        write_document(artifacts, keys.model_key(seed), model)
        Checkpoints(artifacts, keys.final_prefix(seed)).remove()  # also those of a trial that was the best before

    @cached_property
    def _data(self) -> tuple[StoredDataset, TrainingData]:
        experiment, root = self._experiment, self._root
        dataset = read_dataset(root, experiment.study_name)
        merge = experiment.final_train.data == "train+validation"
        return dataset, load_training_data(root, experiment, dataset, self._device, merge=merge)

    def _name(self, seed: int) -> str:
        return "" if self._experiment.final_train.seeds == 1 else f" with seed {seed}"


def _remove(artifacts: Artifacts, seed: int) -> None:
    """Removes a final training and all that follows from it, beginning with the objects that say it is done."""
    after = (keys.MANIFEST, *artifacts.listing(keys.EVALUATION), *artifacts.listing(keys.MODEL))
    for key in (*after, keys.model_key(seed), *artifacts.listing(keys.final_prefix(seed))):
        artifacts.remove(key)
