"""The training loop."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from resnet_core.augment import EpochPlan, Mixing, normalize
from resnet_core.config import TrainingConfig
from resnet_core.data import Images
from resnet_core.device import select_precision
from resnet_core.epoch import EpochResult
from resnet_core.memory import memory_kept
from resnet_core.model import ResNet
from resnet_core.optimizer import build_optimizer
from resnet_core.predict import predict
from resnet_core.schedule import lr_factor

CHUNK = 4096  # images that are augmented at a time: bounds the memory, changes no result

Checkpoint = dict[str, Any]


class Diverged(ArithmeticError):
    """The training loss is no longer a finite number."""


@dataclass(frozen=True)
class TrainingData:
    """Images on the training device; `mean` and `std` are `(3,)`, in units of 0 to 1."""

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
    checkpoint: Checkpoint | None = None,
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[EpochResult, Checkpoint], None] = lambda _result, _checkpoint: None,
) -> ResNet:
    """Trains `model` in place and returns the network to evaluate: itself, or its averaged weights with `ema`.

    All randomness of an epoch is drawn from (seed, epoch). A checkpoint therefore needs no generator's state, and
    a training resumed from one goes on bit for bit where the device computes reproducibly (a CPU does, at the same
    number of threads). Images that do not fill the last batch of an epoch are left out; another shuffle, others.

    Args:
        model: on the device of the data; its memory format becomes channels_last.
        recipe: optimizer, schedule, regularisation and augmentation.
        data: resident on the device.
        epochs: of the whole training, including those of the checkpoint.
        seed: of order, augmentation and dropout.
        checkpoint: what `on_epoch` was given by the run that is resumed.
        on_step: called before every step; what it raises ends the training there.
        on_epoch: called with the figures and a checkpoint that shares memory with the training: save it at once.
            Its `evaluated` are the weights that the validation figures belong to.

    Raises:
        Diverged: the loss became infinite or not a number.
        ValueError: the batch is larger than the training set.

    """
    device = data.train.images.device
    precision = select_precision(recipe.precision, device)
    steps_per_epoch = len(data.train) // recipe.batch_size
    if steps_per_epoch == 0:
        raise ValueError(f"training.batchSize={recipe.batch_size}: at most {len(data.train)}, the training images")

    model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, recipe)
    average = None
    if recipe.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    evaluated = cast(ResNet, average.module) if average else model
    first = 1
    if checkpoint:
        first = _restore(checkpoint, model, optimizer, average, seed) + 1

    for epoch in range(first, epochs + 1):
        started = time.perf_counter()
        torch.manual_seed(_torch_seed(seed, epoch))  # dropout
        sums = torch.zeros(2, device=device)  # loss and hits stay on the device until the epoch ends
        model.train()
        batches = training_batches(data, recipe, np.random.default_rng([seed, epoch]))
        for index, (images, labels, mixing) in enumerate(batches):
            on_step()
            step = (epoch - 1) * steps_per_epoch + index
            lr = recipe.lr * lr_factor(recipe.schedule, step, steps_per_epoch, epochs)
            for group in optimizer.param_groups:
                group["lr"] = lr

            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                logits = model(images)
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

        train_loss, train_accuracy = (sums / (steps_per_epoch * recipe.batch_size)).tolist()
        if not math.isfinite(train_loss):
            raise Diverged(f"the training loss of epoch {epoch} is {train_loss}")
        validation_loss, validation_accuracy = _validate(evaluated, data, precision)
        seconds = time.perf_counter() - started
        result = EpochResult(epoch, lr, train_loss, train_accuracy, validation_loss, validation_accuracy, seconds)
        on_epoch(result, _checkpoint(epoch, seed, model, optimizer, average))
    return evaluated


def training_batches(
    data: TrainingData, recipe: TrainingConfig, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Mixing | None]]:
    """One epoch of shuffled, augmented, normalised batches: images `(B, 3, H, W)`, labels `(B,)`, how they mix."""
    device, size = data.train.images.device, data.train.images.shape[-1]
    used = len(data.train) // recipe.batch_size * recipe.batch_size
    order = torch.from_numpy(rng.permutation(len(data.train))[:used]).to(device)
    plan = EpochPlan.draw(recipe.augmentation, used, size, rng, device)
    chunk = max(CHUNK // recipe.batch_size, 1) * recipe.batch_size
    for chunk_start in range(0, used, chunk):
        selected = order[chunk_start : chunk_start + chunk]
        augmented = plan.transform(data.train.images[selected], chunk_start)
        labels = data.train.labels[selected]
        for offset in range(0, len(selected), recipe.batch_size):
            batch = slice(offset, offset + recipe.batch_size)
            images = normalize(augmented[batch], data.mean, data.std)
            images, mixing = plan.finish(images, labels[batch], chunk_start + offset)
            yield images.contiguous(memory_format=torch.channels_last), labels[batch], mixing


def first_batch(data: TrainingData, size: int) -> tuple[Tensor, Tensor]:
    """Normalised images `(size, 3, H, W)` and labels `(size,)` on the CPU, to measure importances on."""
    images = normalize(data.train.images[:size], data.mean, data.std)
    return images.cpu(), data.train.labels[:size].cpu()


def _loss(logits: Tensor, labels: Tensor, mixing: Mixing | None, smoothing: float) -> Tensor:
    """Cross-entropy; for mixed images that of both labels, weighted by their share of the image."""
    if mixing is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    own = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    other = F.cross_entropy(logits, mixing.labels, reduction="none", label_smoothing=smoothing)
    return torch.lerp(other, own, mixing.weight).mean()


def _validate(model: ResNet, data: TrainingData, precision: torch.dtype) -> tuple[float, float] | tuple[None, None]:
    if data.validation is None:
        return None, None
    logits = predict(model, data.validation.images, data.mean, data.std, precision)
    labels = data.validation.labels
    hits = (logits.argmax(dim=1) == labels).float().mean()
    loss, accuracy = torch.stack((F.cross_entropy(logits, labels), hits)).tolist()
    return loss, accuracy


def _torch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def _checkpoint(
    epoch: int, seed: int, model: ResNet, optimizer: torch.optim.Optimizer, average: AveragedModel | None
) -> Checkpoint:
    return {
        "epoch": epoch,  # the schedule and every generator follow from the epoch and the seed
        "seed": seed,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict() if average else None,
        "evaluated": (average.module if average else model).state_dict(),  # torch.save keeps shared memory once
    }


def _restore(
    checkpoint: Checkpoint,
    model: ResNet,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
    seed: int,
) -> int:
    """Loads a checkpoint and returns the number of epochs it has behind it."""
    if checkpoint["seed"] != seed:
        raise ValueError(f"the checkpoint was trained with seed {checkpoint['seed']}, not {seed}")
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    if average:
        average.load_state_dict(checkpoint["average"])
    return int(checkpoint["epoch"])
