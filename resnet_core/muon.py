"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for convolutions; torch's takes matrices."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim

ITERATIONS = 4
# Of the quintic polynomial that moves all singular values near 1; its slope at 0 is as steep as can be (same source).
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315
TINY = 1e-7


class Muon(optim.Optimizer):
    """Turns weights of convolutions by equal amounts in all directions, and updates other parameters as SGD does.

    A convolution's weights `(F, C, H, W)` count as a matrix `(F, C * H * W)`. The step is the momentum with all its
    singular values brought near 1, and long `lr` times the weights. Afterwards the weights are as long as they were, as
    the fastest trainings have it (github.com/KellerJordan/cifar10-airbench): what a batch norm follows computes the
    same whatever the length, so that there is nothing for weight decay to do.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        auxiliary_lr: float,
        momentum: float,
        nesterov: bool,
        precision: torch.dtype,
    ) -> None:
        """`precision` is that of the matrix products.

        Groups with `turns` hold convolutions. Each of the others has its `weight_decay` and the rate `auxiliary_lr`,
        which changes as `lr` does.
        """
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.0, "turns": False}
        super().__init__(groups, defaults)
        self._precision, self._auxiliary_share = precision, auxiliary_lr / lr

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Updates all parameters that have gradients."""
        assert closure is None
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            gradients = [parameter.grad for parameter in parameters]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
            steps = self._with_momentum(parameters, gradients, group["momentum"], nesterov=group["nesterov"])
            if group["turns"]:
                for alike in _by_shape(parameters, steps):
                    self._turn(*alike, group["lr"])
            else:
                torch._foreach_add_(parameters, torch._foreach_mul(steps, -group["lr"] * self._auxiliary_share))

    def _with_momentum(
        self, parameters: list[Tensor], gradients: list[Tensor], momentum: float, *, nesterov: bool
    ) -> list[Tensor]:
        """The steps that SGD would make, as torch's own defines them."""
        if not momentum:
            return gradients
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        return list(torch._foreach_add(gradients, buffers, alpha=momentum)) if nesterov else buffers

    def _turn(self, parameters: list[Tensor], steps: list[Tensor], lr: float | Tensor) -> None:
        """Convolutions of one shape, all at once."""
        weights = torch.stack([parameter.flatten(1) for parameter in parameters])
        directions = orthogonal(torch.stack([step.flatten(1) for step in steps]), self._precision).to(weights.dtype)
        lengths, widths = (each.norm(dim=(1, 2), keepdim=True) for each in (weights, directions))
        turned = weights - directions * (lengths / widths.clamp(min=TINY)) * lr
        turned *= lengths / turned.norm(dim=(1, 2), keepdim=True).clamp(min=TINY)
        torch._foreach_copy_(parameters, [new.view_as(old) for old, new in zip(parameters, turned, strict=True)])


def orthogonal(matrices: Tensor, precision: torch.dtype) -> Tensor:
    """Matrices `(N, rows, columns)` of the same singular vectors, whose singular values are between about 0.7 and 1.2.

    Newton-Schulz iterations bring them there. Rows and columns of zeros stay zero.
    """
    wide = matrices.transpose(1, 2) if matrices.shape[1] > matrices.shape[2] else matrices
    wide = (wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=TINY)).to(precision)
    for _ in range(ITERATIONS):
        products = wide @ wide.transpose(1, 2)
        wide = torch.baddbmm(
            wide, torch.baddbmm(products, products, products, beta=CUBIC, alpha=QUINTIC), wide, beta=LINEAR
        )
    return wide.transpose(1, 2) if matrices.shape[1] > matrices.shape[2] else wide


def _by_shape(parameters: list[Tensor], steps: list[Tensor]) -> list[tuple[list[Tensor], list[Tensor]]]:
    alike: dict[torch.Size, tuple[list[Tensor], list[Tensor]]] = {}
    for parameter, step in zip(parameters, steps, strict=True):
        own, others = alike.setdefault(parameter.shape, ([], []))
        own.append(parameter)
        others.append(step)
    return list(alike.values())
