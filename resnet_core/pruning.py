"""Structured pruning before training: it removes whole channels, and with them parameters and arithmetic.

The published method goes through the blocks in order and removes, from conv1 and then from conv2 of each, the
`int(amount * channels)` channels with the smallest L1 norm. Blocks joined by identity shortcuts share their outer
width, so every block of a stage narrows the whole stage once more. If widths are rounded, a shared width is rounded
only once, after the last block that narrows it.
"""

from bisect import bisect_left
from collections.abc import Sequence

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_core.config import PruningConfig
from resnet_core.count import count_parameters
from resnet_core.description import BlockConfig, NetworkConfig
from resnet_core.model import ResNet, example_input

AMOUNT_STEPS = 1000  # the amount that meets a parameter target is a multiple of 1/1000


class TargetOutOfReach(ValueError):
    """Even the narrowest network has more parameters than pruning shall leave."""

    def __init__(self, target: int, least: int) -> None:
        self.excess = least - target
        super().__init__(f"pruning.target={target:,}: at least {least:,}, what the narrowest network has")


def kept_channels(channels: int, amount: float, round_to: int = 1, *, last: bool = True) -> int:
    """How many channels are left when the fraction `amount` is removed, at least `round_to` of them.

    The `last` time that they are pruned, their number is rounded down to a multiple of `round_to`.
    """
    kept = channels - int(amount * channels)
    if last:
        kept -= kept % round_to
    return max(kept, min(round_to, channels))


def pruned_config(config: NetworkConfig, amounts: tuple[float, ...], round_to: int = 1) -> NetworkConfig:
    """The widths that are left after pruning with one amount for each block, computed without a network."""
    blocks = [block for stage in config.stages for block in stage]
    if len(amounts) != len(blocks):
        raise ValueError(f"pruning.amounts={list(amounts)}: {len(blocks)} values expected, one a block")
    # A stream is what flows through identity shortcuts with the same width. A projection begins the next one.
    streams = [config.stem]
    stream_of, inner = [], []
    for block, amount, last in zip(blocks, amounts, _ends_stream(blocks), strict=True):
        if block.projection:
            streams.append(block.outer)
        inner.append(kept_channels(block.inner, amount, round_to))
        streams[-1] = kept_channels(streams[-1], amount, round_to, last=last)
        stream_of.append(len(streams) - 1)
    pruned = iter(
        block.model_copy(update={"inner": width, "outer": streams[stream]})
        for block, width, stream in zip(blocks, inner, stream_of, strict=True)
    )
    stages = tuple(tuple(next(pruned) for _ in stage) for stage in config.stages)
    return NetworkConfig(stem=streams[0], stages=stages, classes=config.classes)


def _ends_stream(blocks: Sequence[BlockConfig]) -> list[bool]:
    """Whether each block is the last one of its stream: a projection follows, or no block at all."""
    return [following.projection for following in blocks[1:]] + [True]


def amounts_for_target(config: NetworkConfig, target: int, round_to: int = 1) -> tuple[float, ...]:
    """The smallest common amount, to 1/1000, that leaves at most `target` parameters.

    Raises:
        ValueError: not even the largest amount reaches the target.

    """
    blocks = sum(len(stage) for stage in config.stages)

    def parameters(step: int) -> int:
        return count_parameters(pruned_config(config, (step / AMOUNT_STEPS,) * blocks, round_to))

    # Pruning more never leaves more parameters, so bisection finds the first step that fits.
    step = bisect_left(range(AMOUNT_STEPS), True, key=lambda step: parameters(step) <= target)
    if step == AMOUNT_STEPS:
        least = parameters(AMOUNT_STEPS - 1)
        raise TargetOutOfReach(target, least)
    return (step / AMOUNT_STEPS,) * blocks


def resolve_amounts(config: NetworkConfig, pruning: PruningConfig) -> tuple[float, ...]:
    """The amount of every block that `pruning` asks for; zeros for method `none`."""
    blocks = sum(len(stage) for stage in config.stages)
    if pruning.method == "target":
        assert pruning.target is not None
        return amounts_for_target(config, pruning.target, pruning.round_to)
    if pruning.method == "amounts":
        assert pruning.amounts is not None
        return pruning.amounts * blocks if len(pruning.amounts) == 1 else pruning.amounts
    return (0.0,) * blocks


def planned_config(config: NetworkConfig, pruning: PruningConfig) -> NetworkConfig:
    """The widths that a network will have after `prune`."""
    if pruning.method == "none":
        return config
    return pruned_config(config, resolve_amounts(config, pruning), pruning.round_to)


def prune(model: ResNet, pruning: PruningConfig, *, seed: int = 0, batch: tuple[Tensor, Tensor] | None = None) -> None:
    """Removes channels from `model` in place, with torch-pruning's dependency graph.

    The parameters are replaced by new ones, so an optimizer has to be made afterwards. The memory format may be lost.

    Args:
        model: an unpruned network.
        pruning: amounts or a target, and how the importance of a channel is measured.
        seed: for random importance.
        batch: normalised images `(N, 3, H, W)` and labels `(N,)`, from which Taylor importance computes gradients.

    """
    if pruning.method == "none":
        return
    before, training = model.config(), model.training
    amounts = resolve_amounts(before, pruning)
    expected = pruned_config(before, amounts, pruning.round_to)
    if pruning.importance == "taylor":
        if batch is None:
            raise ValueError("pruning.importance=taylor: needs a batch of training images")
        images, labels = batch
        F.cross_entropy(model(images), labels).backward()
    generator = torch.Generator().manual_seed(seed)
    example = example_input().to(next(model.parameters()).device)
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    ends = _ends_stream([block for stage in before.stages for block in stage])
    for block, amount, last in zip(model.blocks(), amounts, ends, strict=True):
        for conv, rounded in ((block.conv1, True), (block.conv2, last)):
            kept = kept_channels(conv.out_channels, amount, pruning.round_to, last=rounded)
            weakest = channel_importance(conv, pruning.importance, generator).argsort()[: conv.out_channels - kept]
            if len(weakest):
                channels = sorted(weakest.tolist())
                graph.get_pruning_group(conv, torch_pruning.prune_conv_out_channels, channels).prune()
    model.zero_grad(set_to_none=True)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()  # the forward pass for Taylor importance has changed them
    model.train(training)
    assert model.config() == expected, (model.config(), expected)


def channel_importance(conv: nn.Conv2d, name: str, generator: torch.Generator) -> Tensor:
    """A score `(O,)` for each output channel, by its filter alone: `l1`, `l2`, `taylor` or `random`.

    The same as torch_pruning's classes of importance give with group_reduction="first" and no normalizer, which compute
    it for all layers that would lose the channel, and then take the first.
    """
    filters = conv.weight.detach().flatten(1)
    match name:
        case "l1":
            return filters.abs().sum(1)
        case "l2":
            return filters.square().sum(1)
        case "taylor":
            assert conv.weight.grad is not None
            return (filters * conv.weight.grad.flatten(1)).abs().sum(1)
        case _:
            return torch.rand(len(filters), generator=generator)
