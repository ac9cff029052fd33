"""The training loop."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from resnet_core.arithmetic import Arithmetic
from resnet_core.arithmetic_choice import choose_arithmetic
from resnet_core.augment import EpochPlan, Mixing, normalize
from resnet_core.config import TrainingConfig
from resnet_core.cpu.layers import use_faster_layers
from resnet_core.cpu.memory import memory_kept
from resnet_core.data import Images, limit_images
from resnet_core.distributed import ALONE, Group, own_rows
from resnet_core.epoch import EpochResult
from resnet_core.model import ResNet
from resnet_core.optimizer import build_optimizer
from resnet_core.predict import predict
from resnet_core.schedule import lr_factor

log = logging.getLogger(__name__)

FEW = 128  # images on which a network is tried
CHUNK = 4096  # images that are augmented at a time: this limits the memory and changes no result

Checkpoint = dict[str, Any]


class Diverged(ArithmeticError):
    """A loss, or what the network gives, is no longer a finite number."""


@dataclass(frozen=True)
class TrainingData:
    """Images on the training device. `mean` and `std` are `(3,)`, on a scale on which the byte 255 is 1."""

    train: Images
    validation: Images | None
    mean: Tensor
    std: Tensor


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
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[EpochResult, Checkpoint], None] = lambda _result, _checkpoint: None,
) -> ResNet:
    """Trains `model` in place and returns the network to evaluate: `model`, or with `ema` a copy with averaged weights.

    All random numbers of an epoch follow from seed and epoch, and a training goes on in the arithmetic that it began
    with. A checkpoint therefore holds no generator's state, and a resumed training ends with the same bits where the
    device computes reproducibly, which a CPU does with the same number of threads. Images that do not fill the last
    batch of an epoch are left out, in each epoch different ones.

    Args:
        model: on the device of the data. Its memory format becomes channels_last.
        recipe: optimizer, schedule, regularisation and augmentation.
        data: all images, on the device.
        epochs: of the whole training, including those before the checkpoint.
        seed: for the order of the images, augmentation and dropout.
        group: the ranks that share every batch. All get the same arguments, but for the device of model and data.
        checkpoint: what `on_epoch` was given in the run that is resumed.
        on_step: called before every step. If it raises, the training ends there.
        on_epoch: called with the results of an epoch and a checkpoint, which has to be saved before it returns, since
            it shares memory with the training. Its `evaluated` are the weights that the validation results belong to.
            Of several ranks only the first calls it, while the others wait.

    Raises:
        Diverged: the loss, on training or validation images, or the network's output became infinite or not a number.
        ValueError: the batch is larger than the training set, or cannot be divided among the ranks.

    """
    device = data.train.images.device
    steps_per_epoch = len(data.train) // recipe.batch_size
    if steps_per_epoch == 0:
        raise ValueError(f"training.batchSize={recipe.batch_size}: at most {len(data.train)}, the training images")
    arithmetic = _arithmetic(checkpoint, model, recipe, data, recipe.rank_batch_size(group.size), group)
    use_faster_layers(model, arithmetic)
    model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, recipe)
    average = None
    if recipe.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    evaluated = cast(ResNet, average.module) if average else model
    first = 1
    if checkpoint:
        first = _restore(checkpoint, model, optimizer, average, seed) + 1
    network = group.network(model)

    for epoch in range(first, epochs + 1):
        started = time.perf_counter()
        torch.manual_seed(_torch_seed(seed, epoch, group.rank))  # dropout
        sums = torch.zeros(2, device=device)  # of losses and hits; they stay on the device until the epoch ends
        model.train()
        batches = training_batches(data, recipe, np.random.default_rng([seed, epoch]), group)
        for index, (images, labels, mixing) in enumerate(batches):
            on_step()
            step = (epoch - 1) * steps_per_epoch + index
            lr = recipe.lr * lr_factor(recipe.schedule, step, steps_per_epoch, epochs)
            for parameters in optimizer.param_groups:
                parameters["lr"] = lr

            with arithmetic.autocast(device):
                logits = network(images)
            loss = _loss(logits.float(), labels, mixing, recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimizer.step()
            if average:
                average.update_parameters(model)
            hits = (logits.detach().argmax(dim=1) == labels).sum()
            sums += torch.stack((loss.detach() * len(labels), hits.float()))

        group.average_buffers(model, *([average] if average else []))
        train_loss, train_accuracy = (group.sum(sums) / (steps_per_epoch * recipe.batch_size)).tolist()
        if not math.isfinite(train_loss):
            raise Diverged(f"the training loss of epoch {epoch} is {train_loss}")
        validation_loss, validation_accuracy = _validate(evaluated, data, arithmetic.precision, group)
        # No training loss shows what the epoch's last step has done, or what the average is.
        if validation_loss is not None and not math.isfinite(validation_loss):
            raise Diverged(f"the validation loss of epoch {epoch} is {validation_loss}")
        if validation_loss is None and not _is_finite(evaluated, data, arithmetic.precision):
            raise Diverged(f"after epoch {epoch} the network gives numbers that are not finite")
        seconds = time.perf_counter() - started
        result = EpochResult(epoch, lr, train_loss, train_accuracy, validation_loss, validation_accuracy, seconds)
        group.first(partial(on_epoch, result, _checkpoint(epoch, seed, arithmetic, model, optimizer, average)))
    return evaluated


def training_batches(
    data: TrainingData, recipe: TrainingConfig, rng: np.random.Generator, group: Group = ALONE
) -> Iterator[tuple[Tensor, Tensor, Mixing | None]]:
    """One epoch of shuffled, augmented, normalised batches: images `(B, 3, H, W)`, labels `(B,)`, how they are mixed.

    Each rank of a group draws the same epoch and yields its own part of every batch.
    """
    device, size, batch_size = data.train.images.device, data.train.images.shape[-1], recipe.batch_size
    steps = len(data.train) // batch_size
    rows = rng.permutation(len(data.train))[: steps * batch_size]
    plan = EpochPlan.draw(recipe.augmentation, len(rows), size, rng, device)
    own = slice(None)
    if group.size > 1:
        mine = own_rows(group, steps, batch_size)
        rows, plan, own = rows[mine], plan.take(mine), slice(1, None)
        batch_size = len(mine) // steps
    order = torch.from_numpy(rows).to(device)
    chunk = max(CHUNK // batch_size, 1) * batch_size
    for chunk_start in range(0, len(order), chunk):
        selected = order[chunk_start : chunk_start + chunk]
        augmented = plan.transform(data.train.images[selected], chunk_start)
        labels = data.train.labels[selected]
        for offset in range(0, len(selected), batch_size):
            batch = slice(offset, offset + batch_size)
            images = normalize(augmented[batch], data.mean, data.std)
            images, mixing = plan.finish(images, labels[batch], chunk_start + offset)
            if mixing:
                mixing = Mixing(mixing.labels[own], mixing.weight[own])
            yield images[own].contiguous(memory_format=torch.channels_last), labels[batch][own], mixing


def balanced_batch(data: TrainingData, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """`size` images, taken evenly from the classes, normalised `(size, 3, H, W)`, and their labels `(size,)`.

    Both are on the CPU. The first rows would not do, because the images of a folder are sorted by class.
    """
    chosen = limit_images(data.train, min(size, len(data.train)), seed, "training.batchSize")
    return normalize(chosen.images, data.mean, data.std).cpu(), chosen.labels.cpu()


def _loss(logits: Tensor, labels: Tensor, mixing: Mixing | None, smoothing: float) -> Tensor:
    """Cross-entropy. For mixed images it is the mean over both labels, weighted by their shares of the image."""
    if mixing is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    own = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    other = F.cross_entropy(logits, mixing.labels, reduction="none", label_smoothing=smoothing)
    return torch.lerp(other, own, mixing.weight).mean()


def _validate(
    model: ResNet, data: TrainingData, precision: torch.dtype, group: Group
) -> tuple[float, float] | tuple[None, None]:
    if data.validation is None:
        return None, None
    labels = group.share(data.validation.labels)
    logits = predict(model, group.share(data.validation.images), data.mean, data.std, precision)
    hits = (logits.argmax(dim=1) == labels).sum().float()
    sums = group.sum(torch.stack((F.cross_entropy(logits, labels, reduction="sum"), hits)))
    loss, accuracy = (sums / len(data.validation)).tolist()
    return loss, accuracy


def _is_finite(model: ResNet, data: TrainingData, precision: torch.dtype) -> bool:
    """Whether the network gives numbers that are finite; of a few images, which is enough if its weights are not."""
    logits = predict(model, data.train.images[:FEW], data.mean, data.std, precision)
    return bool(logits.isfinite().all())


def _torch_seed(seed: int, epoch: int, rank: int) -> int:
    entropy = [seed, epoch, rank] if rank else [seed, epoch]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def _arithmetic(
    checkpoint: Checkpoint | None,
    model: ResNet,
    recipe: TrainingConfig,
    data: TrainingData,
    batch_size: int,
    group: Group,
) -> Arithmetic:
    """The one that the training began with, and at its beginning the choice. Checkpoints of version 0.1.0 have none."""
    images = data.train.images
    if checkpoint and "arithmetic" in checkpoint:
        arithmetic = Arithmetic.from_record(checkpoint["arithmetic"])
    else:
        given = recipe.precision, model.config(), images.shape[-1], batch_size, images.device
        arithmetic = choose_arithmetic(*given, group=group)
    log.info("training computes in %s", arithmetic)
    return arithmetic


def _checkpoint(
    epoch: int,
    seed: int,
    arithmetic: Arithmetic,
    model: ResNet,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
) -> Checkpoint:
    return {
        "epoch": epoch,  # learning rate and random numbers follow from the epoch and the seed
        "seed": seed,
        "arithmetic": arithmetic.to_record(),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict() if average else None,
        "evaluated": (average.module if average else model).state_dict(),  # torch.save writes shared memory only once
    }


def _restore(
    checkpoint: Checkpoint,
    model: ResNet,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
    seed: int,
) -> int:
    """Loads a checkpoint and returns the number of its last epoch."""
    if checkpoint["seed"] != seed:
        raise ValueError(f"the checkpoint was trained with seed {checkpoint['seed']}, not {seed}")
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    if average:
        average.load_state_dict(checkpoint["average"])
    return int(checkpoint["epoch"])
