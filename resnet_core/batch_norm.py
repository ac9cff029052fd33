"""Batch norm of widths that torch is slow at on a CPU, because its threads write their sums into shared cache lines.

torch (2.15) sums activations in one row of `C` floats a thread, the rows one behind the other. Unless a row fills whole
cache lines, two threads write to the same line at every pixel: with 53 channels two are slower than one. Here torch is
shown groups of pixels as wide as whole cache lines, and what it says of each member of a group is combined.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHE_LINE = 16  # floats

# Where it was faster than torch's, by measurement (tests/benchmarks/training_batch_norm.py): with fewer pixels, the
# small operations that combine the groups cost what they save.
LEAST_PIXELS = 8192


def pays(x: Tensor) -> bool:
    """Whether `batch_norm` is faster than torch's: on several threads of a CPU, for odd widths and many pixels."""
    members, pixels = group_size(x.shape[1]), x.numel() // x.shape[1]
    return (
        x.device.type == "cpu"
        and torch.get_num_threads() > 1
        and members > 1
        and pixels >= LEAST_PIXELS
        and pixels % members == 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def group_size(channels: int) -> int:
    """How many pixels together fill whole cache lines."""
    return CACHE_LINE // math.gcd(channels, CACHE_LINE)


def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor, momentum: float, eps: float
) -> Tensor:
    """What `torch.nn.functional.batch_norm` is in training, beyond rounding; moves the running statistics likewise.

    Args:
        x: `(N, C, H, W)`, channels_last; `N * H * W` a multiple of `group_size(C)`.
        weight: `(C,)`, like all that follow, in float32 where `x` is in bfloat16.
        bias: `(C,)`.
        running_mean: `(C,)`, changed.
        running_var: `(C,)`, changed.
        momentum: the share of this batch in the running statistics.
        eps: added to the variance.

    """
    y: Tensor = _BatchNorm.apply(x, weight, bias, running_mean, running_var, momentum, eps)
    return y


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        grouped, members, pixels = _grouped(x), group_size(len(weight)), x.numel() // len(weight)
        running = torch.zeros(2, grouped.shape[1], dtype=weight.dtype)  # not read: the statistics get their precision
        statistics = torch.batch_norm_update_stats(grouped, running[0], running[1], momentum=1)
        means, variances = (statistic.view(members, -1) for statistic in statistics)
        mean = means.mean(dim=0)
        variance = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (pixels / (pixels - 1)), momentum)

        y = torch.empty_like(x)  # no view of it is returned: a ReLU may overwrite it
        _scale(grouped, weight, bias, mean, variance + eps, out=_grouped(y))
        ctx.save_for_backward(x, weight, mean, variance + eps)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        grouped = _grouped(x)
        of_y = _grouped(gradient.contiguous(memory_format=torch.channels_last))
        members, pixels = group_size(len(weight)), x.numel() // len(weight)
        each = (channel.repeat(members) for channel in (mean, variance.rsqrt()))
        sums = torch.ops.aten.native_batch_norm_backward(
            of_y, grouped, weight.repeat(members), None, None, *each, True, 0.0, [False, True, True]
        )
        of_weight, of_bias = (parts.view(members, -1).sum(dim=0) for parts in sums[1:])

        # Linear in x and in the gradient of y. The latter's slope is rounded first: the sum over pixels remains zero.
        slope = (weight * variance.rsqrt()).to(x.dtype)
        of_x = torch.empty_like(x)
        _scale(grouped, -slope * of_weight / pixels, -slope * of_bias / pixels, mean, variance, out=_grouped(of_x))
        _grouped(of_x).addcmul_(of_y, slope.repeat(members).view(1, -1, 1, 1))
        return of_x, of_weight, of_bias, None, None, None, None


def _grouped(x: Tensor) -> Tensor:
    """`(N, C, H, W)` as `(1, G * C, N * H * W / G, 1)`, without a copy."""
    width = x.shape[1] * group_size(x.shape[1])
    return x.permute(0, 2, 3, 1).view(-1, width).t()[None, :, :, None]


def _scale(grouped: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *, out: Tensor) -> None:
    """Writes `weight * (x - mean) / sqrt(variance) + bias`, each `(C,)`."""
    members = grouped.shape[1] // len(weight)
    weight, bias, mean, variance = (channel.repeat(members) for channel in (weight, bias, mean, variance))
    none = weight.new_empty(0)
    torch.native_batch_norm(grouped, weight, bias, mean, variance, False, 0.0, 0.0, out=(out, none, none))
