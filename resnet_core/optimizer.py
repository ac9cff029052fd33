"""The optimizers a recipe can name."""

import inspect
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import optim

from resnet_core.config import TrainingConfig
from resnet_core.model import ResNet
from resnet_core.muon import Muon


def build_optimizer(model: ResNet, recipe: TrainingConfig, precision: torch.dtype = torch.float32) -> optim.Optimizer:
    """An optimizer over all parameters. Batch norm and biases get no weight decay unless the recipe asks for it.

    `precision` is that of the matrix products of Muon, which has the convolutions of all blocks.

    Where torch has a kernel that updates all parameters at once (`fused`), it is used: on a CPU it is two to six times
    as fast. On a CUDA GPU an optimizer never waits for the device: its learning rate lies there, as a tensor that all
    parameter groups share, and so do its counts of steps.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": recipe.weight_decay if recipe.decay_norm_and_bias else 0.0},
    ]
    if recipe.optimizer == "muon":
        inside = {parameter for block in model.blocks() for parameter in block.parameters()}
        groups[0]["params"] = [parameter for parameter in matrices if parameter not in inside]
        turned = [parameter for parameter in matrices if parameter in inside]
        groups.append({"params": turned, "weight_decay": 0.0, "turns": True})
    kind, options = _kind(recipe, precision, capturable=parameters[0].is_cuda)
    optimizer = _without_compiler(kind)(groups, lr=recipe.lr, **options)
    if parameters[0].is_cuda:
        lr = torch.tensor(recipe.lr, device=parameters[0].device)
        for group in optimizer.param_groups:
            group["lr"] = lr
    return optimizer


def _kind(
    recipe: TrainingConfig, precision: torch.dtype, *, capturable: bool
) -> tuple[type[optim.Optimizer], dict[str, Any]]:
    """The class and its options. With `capturable`, a CUDA graph can hold its steps, as it can hold fused ones."""
    match recipe.optimizer:
        case "sgd":
            nesterov = recipe.nesterov and recipe.momentum > 0
            return optim.SGD, {"momentum": recipe.momentum, "nesterov": nesterov, "fused": True}
        case "rmsprop":
            return optim.RMSprop, {"momentum": recipe.momentum, "capturable": capturable}
        case "adam":
            return optim.Adam, {"fused": True, "capturable": capturable}
        case "adamw":
            return optim.AdamW, {"fused": True, "capturable": capturable}
        case "adadelta":
            return optim.Adadelta, {"capturable": capturable}
        case "adagrad":
            return optim.Adagrad, {"fused": True}
        case "asgd":
            return optim.ASGD, {"capturable": capturable}
        case "muon":
            options = {"momentum": recipe.momentum, "nesterov": recipe.nesterov and recipe.momentum > 0}
            return Muon, {"auxiliary_lr": recipe.auxiliary_lr or recipe.lr, "precision": precision, **options}


def _without_compiler(kind: type[optim.Optimizer]) -> Callable[..., optim.Optimizer]:
    """The same optimizer, whose methods lack the decorators by which torch tells its compiler to leave them alone.

    Those decorators import the compiler, torch._dynamo, which takes each process some two seconds, and nothing here is
    compiled.
    """
    plain = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in plain}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast(Callable[..., optim.Optimizer], type(kind.__name__, (kind,), methods))
