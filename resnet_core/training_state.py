"""All that a training changes from step to step, and checkpoints of it."""

from typing import Any

import torch
from torch import Tensor, optim

from resnet_core.averaged_weights import AveragedWeights
from resnet_core.config import TrainingConfig
from resnet_core.model import ResNet, copy_network
from resnet_core.optimizer import build_optimizer
from resnet_core.padding import cut, pad, pad_network

Checkpoint = dict[str, Any]


class TrainingState:
    """The network, its optimizer, its averaged weights, and how far the training is.

    Where the network is padded, checkpoints and `evaluated` have the widths of the network that was given, so that any
    device can go on with them.
    """

    def __init__(
        self, model: ResNet, recipe: TrainingConfig, precision: torch.dtype = torch.float32, *, padded: bool = False
    ) -> None:
        self._model = model
        self.network = pad_network(model) if padded else model
        self.optimizer: optim.Optimizer = build_optimizer(self.network, recipe, precision)
        self.average = AveragedWeights(self.network, recipe.ema) if recipe.ema else None
        self.sums = torch.zeros(2, device=model.stem.weight.device)  # losses and hits of the epoch
        self.epoch, self.step = 1, 0  # the epoch that is trained, and the steps of it that are done
        self.seconds = 0.0  # which that took former processes
        self._evaluated = copy_network(model) if padded and self.average else model

    def next_epoch(self) -> None:
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.sums.zero_()

    def trained(self) -> ResNet:
        """The network to validate: with averaged weights if there are any. It changes with the training."""
        return self.average.network if self.average else self.network

    def evaluated(self) -> ResNet:
        """The same in the widths of the network that was given."""
        if self.network is self._model:
            return self.trained()
        values = self.trained().state_dict()
        kept = [(tensor, cut(values[name], tensor.shape)) for name, tensor in self._evaluated.state_dict().items()]
        for floating in (True, False):
            pairs = [pair for pair in kept if pair[0].is_floating_point() == floating]
            torch._foreach_copy_([tensor for tensor, _ in pairs], [value for _, value in pairs])
        return self._evaluated

    def checkpoint(self, seed: int, seconds: float) -> Checkpoint:
        """A copy of everything, in main memory, which the training no longer changes.

        Learning rate and random numbers follow from epoch, step and seed.
        """
        shapes = {name: tensor.shape for name, tensor in self._model.state_dict().items()}

        def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: _copied(cut(tensor, shapes[name])) for name, tensor in tensors.items()}

        state = {
            name: {
                key: _copied(cut(value, shapes[name]) if value.shape == parameter.shape else value)
                for key, value in self.optimizer.state[parameter].items()
            }
            for name, parameter in self.network.named_parameters()
            if parameter in self.optimizer.state
        }
        return {
            "seed": seed,
            "epoch": self.epoch,
            "step": self.step,
            "seconds": seconds,
            "sums": _copied(self.sums),
            "model": copied(self.network.state_dict()),
            "optimizer": state,
            "average": copied(self.average.network.state_dict()) if self.average else None,
        }

    def restore(self, checkpoint: Checkpoint, seed: int) -> None:
        """Continues from a checkpoint.

        Raises:
            ValueError: it was trained with another seed.

        """
        if checkpoint["seed"] != seed:
            raise ValueError(f"the checkpoint was trained with seed {checkpoint['seed']}, not {seed}")
        if "step" not in checkpoint:
            checkpoint = _of_version_0_1(checkpoint, self.optimizer, self.network)
        self.epoch, self.step, self.seconds = checkpoint["epoch"], checkpoint["step"], checkpoint["seconds"]
        self.sums.copy_(checkpoint["sums"])
        _fill(self.network, checkpoint["model"])
        if self.average:
            _fill(self.average.network, checkpoint["average"])
        self._restore_optimizer(checkpoint["optimizer"])

    def _restore_optimizer(self, saved: dict[str, dict[str, Any]]) -> None:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        shapes = {name: tensor.shape for name, tensor in self._model.named_parameters()}
        named = _named_in_order(self.optimizer, self.network)
        state = {
            index: {
                key: pad(value, parameter) if value.shape == shapes[name] else value
                for key, value in saved[name].items()
            }
            for index, (name, parameter) in enumerate(named)
            if name in saved
        }
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr  # the tensor that the step writes to, not a copy of it


def _named_in_order(optimizer: optim.Optimizer, network: ResNet) -> list[tuple[str, Tensor]]:
    """The parameters with their names, in the order in which the optimizer numbers them."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    return [(names[parameter], parameter) for group in optimizer.param_groups for parameter in group["params"]]


def _copied(value: Any) -> Any:
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value


@torch.no_grad()
def _fill(network: ResNet, values: dict[str, Tensor]) -> None:
    tensors = network.state_dict()
    if tensors.keys() != values.keys():
        raise ValueError("the checkpoint is of another network")
    for name, tensor in tensors.items():
        tensor.copy_(pad(values[name], tensor))


def _of_version_0_1(old: Checkpoint, optimizer: optim.Optimizer, network: ResNet) -> Checkpoint:
    """A checkpoint of version 0.1.0, which was taken after an epoch, as it would be now."""
    names = [name for name, _ in _named_in_order(optimizer, network)]
    average = old["average"] and {
        name.removeprefix("module."): tensor for name, tensor in old["average"].items() if name != "n_averaged"
    }
    return {
        **old,
        "epoch": old["epoch"] + 1,
        "step": 0,
        "seconds": 0.0,
        "sums": torch.zeros(2),
        "optimizer": {names[index]: values for index, values in old["optimizer"]["state"].items()},
        "average": average,
    }
