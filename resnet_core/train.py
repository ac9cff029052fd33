"""The training loop."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional as F

from resnet_core.arithmetic import Arithmetic
from resnet_core.arithmetic_choice import choose_arithmetic
from resnet_core.batches import EpochBatches, TrainingData
from resnet_core.config import TrainingConfig
from resnet_core.cpu.layers import use_faster_layers
from resnet_core.cpu.memory import memory_kept
from resnet_core.distributed import ALONE, Group
from resnet_core.epoch import EpochResult
from resnet_core.graphed_steps import GraphedSteps, PlainSteps
from resnet_core.model import ResNet, count_batches
from resnet_core.padding import padded_config
from resnet_core.predict import predict
from resnet_core.schedule import lr_factor
from resnet_core.step import Step
from resnet_core.training_state import Checkpoint, TrainingState

log = logging.getLogger(__name__)

FEW = 128  # images on which a network is tried where there are none to validate


class Diverged(ArithmeticError):
    """A loss, or what the network gives, is no longer a finite number."""


class CheckpointSaver(Protocol):
    """Decides when a training is saved, and saves it."""

    def due(self) -> bool:
        """Whether to save before the next step. Asked before every one, but of several ranks between epochs only."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Gets a checkpoint that shares no memory with the training; it may be written while the training goes on."""


class NothingSaved:
    def due(self) -> bool:
        return False

    def save(self, checkpoint: Checkpoint) -> None:
        """Does not save it."""


@memory_kept()
def train(
    model: ResNet,
    recipe: TrainingConfig,
    data: TrainingData,
    epochs: int,
    *,
    seed: int,
    group: Group = ALONE,
    checkpoint: Checkpoint | None = None,
    saver: CheckpointSaver | None = None,
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[EpochResult, ResNet], None] = lambda _result, _evaluated: None,
) -> ResNet:
    """Trains `model` and returns the network to evaluate, which with `ema` is another one with averaged weights.

    All random numbers of a step follow from seed, epoch and step, and a training goes on in the arithmetic that it
    began with. A checkpoint therefore holds no generator's state, and a resumed training ends with the same bits where
    the device computes reproducibly, which a CPU does with the same number of threads. Images that do not fill the last
    batch of an epoch are left out, in each epoch different ones.

    Args:
        model: on the device of the data. Its memory format becomes channels_last.
        recipe: optimizer, schedule, regularisation and augmentation.
        data: all images, on the device.
        epochs: of the whole training, including those before the checkpoint.
        seed: for the order of the images, augmentation and dropout.
        group: the ranks that share every batch. All get the same arguments, but for the device of model and data.
        checkpoint: what `saver` was given in the run that is resumed.
        saver: gets checkpoints when it asks for them, and one at the end. Of several ranks only the first uses it.
        on_step: called before every step, after a checkpoint that is due. If it raises, the training ends there.
        on_epoch: called with the results of an epoch and the network that the validation results belong to, which the
            next step changes. Of several ranks only the first calls it, while the others wait.

    Raises:
        Diverged: the loss, on training or validation images, or the network's output became infinite or not a number.
        ValueError: the batch is larger than the training set, or cannot be divided among the ranks.

    """
    device = data.train.images.device
    steps_per_epoch = _steps_per_epoch(data, recipe, group)
    arithmetic = _arithmetic(checkpoint, model, recipe, data, group)
    precision = arithmetic.precision
    use_faster_layers(model, arithmetic)
    model.to(memory_format=torch.channels_last)
    state = TrainingState(model, recipe, precision, padded=_pads(model, precision, device))
    if checkpoint:
        state.restore(checkpoint, seed)
        if group.rank:
            state.sums.zero_()  # those of an epoch that one process began are added to the others'
    step = Step(state, group.network(state.network), recipe, arithmetic)
    saver, begun_at = saver or NothingSaved(), state.epoch

    def draw(epoch: int) -> EpochBatches:
        return EpochBatches.draw(data, recipe, seed, epoch, group, precision)

    def save(seconds: float) -> None:
        saver.save({**state.checkpoint(seed, seconds), "arithmetic": arithmetic.to_record()})

    batches = draw(state.epoch)
    graphed = device.type == "cuda" and group.size == 1
    with closing(GraphedSteps(state, step, batches.chunk_batches) if graphed else PlainSteps(step)) as steps:
        while state.epoch <= epochs:
            epoch, started = state.epoch, time.perf_counter() - state.seconds
            torch_seed = _torch_seed(seed, epoch, group.rank)
            state.network.train()
            for begin, chunk in batches.chunks(state.step):
                numbers = [(epoch - 1) * steps_per_epoch + begin + index for index in range(len(chunk))]
                rates = [recipe.lr * lr_factor(recipe.schedule, number, steps_per_epoch, epochs) for number in numbers]
                steps.load(chunk, rates, state.step - begin)
                del chunk  # whoever needs it has it, and the next one is made before this name gets it
                for index in range(state.step - begin, len(rates)):
                    # Between epochs all ranks have the same running statistics, else each has its own.
                    if (group.size == 1 or state.step == 0) and group.first(saver.due):
                        group.first(partial(save, time.perf_counter() - started))
                    on_step()
                    seeded = partial(_seed, recipe, torch_seed + state.step)
                    steps.run(index, first=numbers[index] == 0, seed=seeded)
                    state.step += 1

            count_batches(state.network, steps_per_epoch)
            group.average_buffers(state.network, *([state.average.network] if state.average else []))
            if epoch < epochs:  # before the results are asked for: a GPU may still be at the steps of this epoch
                batches = draw(epoch + 1)
            means = group.sum(state.sums.clone()) / (steps_per_epoch * recipe.batch_size)
            train_loss, train_accuracy = means.tolist()
            if not math.isfinite(train_loss):
                raise Diverged(f"the training loss of epoch {epoch} is {train_loss}")
            loss, accuracy = _validate(state.trained(), data, precision, group, epoch)
            seconds = time.perf_counter() - started
            state.next_epoch()
            result = EpochResult(epoch, rates[-1], train_loss, train_accuracy, loss, accuracy, seconds)
            group.first(partial(on_epoch, result, state.evaluated()))
    if state.epoch > begun_at:
        group.first(partial(save, 0.0))
    return state.evaluated()


def _steps_per_epoch(data: TrainingData, recipe: TrainingConfig, group: Group) -> int:
    steps = len(data.train) // recipe.batch_size
    if steps == 0:
        raise ValueError(f"training.batchSize={recipe.batch_size}: at most {len(data.train)}, the training images")
    recipe.rank_batch_size(group.size)  # raises ValueError
    return steps


def _pads(model: ResNet, precision: torch.dtype, device: torch.device) -> bool:
    """Whether tensor cores need padded widths."""
    config = model.config()
    return device.type == "cuda" and precision is torch.bfloat16 and padded_config(config) != config


def _validate(
    model: ResNet, data: TrainingData, precision: torch.dtype, group: Group, epoch: int
) -> tuple[float, float] | tuple[None, None]:
    """Loss and accuracy on the validation images, if there are any.

    No training loss shows what the epoch's last step has done, or what the averaged weights are. Without validation
    images the network is therefore tried on a few others, which is enough where its weights are not finite.
    """
    if data.validation is None:
        logits = predict(model, data.train.images[:FEW], data.mean, data.std, precision)
        if not logits.isfinite().all():
            raise Diverged(f"after epoch {epoch} the network gives numbers that are not finite")
        return None, None
    labels = group.share(data.validation.labels)
    logits = predict(model, group.share(data.validation.images), data.mean, data.std, precision)
    hits = (logits.argmax(dim=1) == labels).sum().float()
    sums = group.sum(torch.stack((F.cross_entropy(logits, labels, reduction="sum"), hits)))
    loss, accuracy = (sums / len(data.validation)).tolist()
    if not math.isfinite(loss):
        raise Diverged(f"the validation loss of epoch {epoch} is {loss}")
    return loss, accuracy


def _torch_seed(seed: int, epoch: int, rank: int) -> int:
    entropy = [seed, epoch, rank] if rank else [seed, epoch]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 2)


def _seed(recipe: TrainingConfig, seed: int) -> None:
    if recipe.dropout:  # nothing else in a step is random
        torch.manual_seed(seed)


def _arithmetic(
    checkpoint: Checkpoint | None,
    model: ResNet,
    recipe: TrainingConfig,
    data: TrainingData,
    group: Group,
) -> Arithmetic:
    """The one that the training began with, and at its beginning the choice. Checkpoints of version 0.1.0 have none."""
    images, batch_size = data.train.images, recipe.rank_batch_size(group.size)
    if checkpoint and "arithmetic" in checkpoint:
        arithmetic = Arithmetic.from_record(checkpoint["arithmetic"])
    else:
        given = recipe.precision, model.config(), images.shape[-1], batch_size, images.device
        arithmetic = choose_arithmetic(*given, group=group)
    log.info("training computes in %s", arithmetic)
    return arithmetic
