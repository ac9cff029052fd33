"""The final training with one seed."""

import json
import logging
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from safetensors.torch import save_file

from jobs.artifacts import Artifacts, keys
from jobs.artifacts.checkpoints import Checkpoints
from jobs.artifacts.dataset_images import load_training_data
from jobs.artifacts.dataset_record import StoredDataset, read_dataset
from jobs.artifacts.documents import ChosenTrial, ModelDocument, write_document
from jobs.artifacts.final_training import epochs_key, epochs_text, trained_model, trained_trial, weights_key
from jobs.artifacts.guarded import GuardedArtifacts
from jobs.experiment.experiment import Experiment
from jobs.experiment.parameters import Configuration
from jobs.queue.claim import LeaseLost
from jobs.queue.database import Database
from jobs.queue.exclusive import FINAL_TRAINING, Hold, owners
from jobs.runtime import interrupt
from jobs.runtime.errors import Failure
from jobs.stages.final_train.progress import Progress
from resnet_core.batches import TrainingData, balanced_batch
from resnet_core.build import build_network
from resnet_core.count import check_budget, count_macs, count_parameters
from resnet_core.device import describe
from resnet_core.distributed import Group
from resnet_core.model import ResNet
from resnet_core.out_of_memory import describe_out_of_memory, is_out_of_memory
from resnet_core.seeds import derive_seed
from resnet_core.train import Diverged, train

log = logging.getLogger(__name__)


class TrainingFailed(Failure):
    """The training could not be finished: it diverged, or ran out of memory."""


@dataclass(frozen=True)
class Course:
    """What the trainings with all seeds have in common. The images are loaded once, when they are first needed."""

    experiment: Experiment
    root: Artifacts
    database: Database
    trial: ChosenTrial
    device: torch.device
    group: Group
    checkpoint_seconds: float

    @cached_property
    def data(self) -> tuple[StoredDataset, TrainingData]:
        dataset = read_dataset(self.root, self.experiment.study_name)
        merge = self.experiment.final_train.data == "train+validation"
        return dataset, load_training_data(self.root, self.experiment, dataset, self.device, merge=merge)


class SeedTraining:
    """All that is written is written under the claim that rank 0 holds; the others have none and write nothing."""

    def __init__(self, course: Course, seed: int, hold: Hold | None) -> None:
        self._course, self._seed, self._hold, self._group = course, seed, hold, course.group
        self._experiment, self._trial, self._device = course.experiment, course.trial, course.device
        study = course.root.under(self._experiment.study_name)
        self._study = study if hold is None else GuardedArtifacts(study, hold.check)

    def to_the_end(self) -> None:
        """Does what is not yet done.

        Raises:
            Interrupted, LeaseLost: in all ranks before the same step.
            TrainingFailed: the loss became infinite or not a number, or memory ran out.

        """
        if self._group.first(self._is_done):
            return
        own = self._experiment.with_parameters(self._trial.parameters)
        try:
            self._train(own)
        except Diverged as error:
            raise TrainingFailed(f"{error}, with {json.dumps(self._trial.parameters, allow_nan=False)}") from None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            advice = "it takes a device with more memory, or several that share each batch (finalTrain.gpus)"
            doing = f"with batches of {own.training.batch_size}"
            raise TrainingFailed(describe_out_of_memory(error, self._device, doing, advice)) from None

    def _is_done(self) -> bool:
        """Whether this training is done already; if it was done with another trial's parameters, that is removed."""
        done_for = trained_trial(self._study, self._seed)
        if done_for == self._trial.number:
            log.info("the final training%s is done", self._name)
            self._tidy()
            return True
        if done_for is not None:
            log.info("trial %d is better than trial %d, whose final training is dropped", self._trial.number, done_for)
            after = (keys.MANIFEST, *self._study.listing(keys.EVALUATION), *self._study.listing(keys.MODEL))
            for key in (*after, keys.model_key(self._seed)):  # first what says that something is done
                self._study.remove(key)
            self._tidy()
        return False

    def _train(self, own: Configuration) -> None:
        experiment, device, ranks, recipe = self._experiment, self._device, self._group.size, own.training
        dataset, data = self._course.data
        own_seed = derive_seed(experiment.seed, "final", *([self._seed] if self._seed else []))
        batch, classes = balanced_batch(data, recipe.batch_size, own_seed), len(dataset.classes)
        network = build_network(own.model, own.pruning, classes, dropout=recipe.dropout, seed=own_seed, batch=batch)
        network.to(device)
        check_budget(network.config(), experiment.budget.parameters)
        place = describe(device) if ranks == 1 else f"{ranks} x {describe(device)}"
        parameters = json.dumps(self._trial.parameters, allow_nan=False)
        log.info("final training%s of trial %d on %s: %s", self._name, self._trial.number, place, parameters)

        prefix = keys.final_checkpoints_prefix(self._seed, self._trial.number)
        had = self._course.database.read(
            lambda connection: owners(connection, experiment.study_name, FINAL_TRAINING, self._seed)
        )
        checkpoints, validation_images = Checkpoints(self._study, prefix, had), dataset.validation_images
        progress = Progress(self._out, checkpoints, experiment.final_train, self._seed, validation_images)
        saved = progress.resume()
        with progress.checkpoint_writer(self._course.checkpoint_seconds, self._beat) as writer:
            trained = train(
                network,
                recipe,
                data,
                experiment.final_train.epochs,
                seed=derive_seed(own_seed, "training"),
                group=self._group,
                checkpoint=saved,
                saver=writer,
                on_step=self._on_step,
                on_epoch=progress.on_epoch,
            )
        self._group.first(lambda: self._write(progress, trained))

    def _on_step(self) -> None:
        """Raises in all ranks before the same step: if one ended alone, the others would wait for it."""
        end: Exception | None = None
        try:
            interrupt.check()
            self._beat()
        except (interrupt.Interrupted, LeaseLost) as error:
            end = error
        if self._group.any(end is not None):
            raise end or interrupt.Interrupted

    def _beat(self) -> None:
        """Goes on where the process was asked to end."""
        interrupt.beat()
        if self._hold is not None:
            self._hold.beat()

    def _write(self, progress: Progress, trained: ResNet) -> None:
        """Writes the weights, and last of all the document that names them."""
        config, (dataset, data), out = trained.config(), self._course.data, self._out
        weights = {name: tensor.contiguous() for name, tensor in progress.chosen_weights(trained).items()}
        out.write(keys.WEIGHTS, partial(save_file, weights))
        out.write_text(keys.EPOCHS, epochs_text(progress.epochs))  # those of former claims are among them
        model = ModelDocument(
            network=config,
            parameters=count_parameters(config),
            macs=count_macs(config, dataset.image_size),
            classes=dataset.classes,
            image_size=dataset.image_size,
            mean=data.mean.tolist(),
            std=data.std.tolist(),
            trial=self._trial,
            epoch=progress.chosen_epoch.epoch,
            validation_accuracy=progress.chosen_epoch.validation_accuracy,
            training_images=len(data.train),
            seconds=sum(epoch.seconds for epoch in progress.epochs),
            seed=self._seed,
            precision=progress.precision,
            ranks=self._group.size,
            weights=f"{self._folder}/{keys.WEIGHTS}",
            weights_sha256=out.sha256(keys.WEIGHTS),
            epochs=f"{self._folder}/{keys.EPOCHS}",
            epochs_sha256=out.sha256(keys.EPOCHS),
        )
        write_document(self._study, keys.model_key(self._seed), model)
        self._tidy()

    def _tidy(self) -> None:
        """Removes what `model.json` does not name: checkpoints, and what lost claims and former best trials left."""
        model = trained_model(self._study, self._seed)
        kept = () if model is None else (keys.model_key(self._seed), weights_key(model), epochs_key(model))
        for key in self._study.listing(keys.final_prefix(self._seed)):
            if key not in kept:
                self._study.remove(key)

    @property
    def _folder(self) -> str:
        """What is written goes here, counted from the folder of the seed."""
        assert self._hold is not None
        return keys.claim_folder(self._hold.claim.name)

    @property
    def _out(self) -> Artifacts:
        if self._hold is None:
            return self._study  # of a rank that writes nothing
        return self._study.under(f"{keys.final_prefix(self._seed)}/{self._folder}")

    @property
    def _name(self) -> str:
        return "" if self._experiment.final_train.seeds == 1 else f" with seed {self._seed}"
