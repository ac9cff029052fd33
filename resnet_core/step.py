"""One training step: forward pass, loss, backward pass, update."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_core.arithmetic import Arithmetic
from resnet_core.augment import Mixing
from resnet_core.config import TrainingConfig
from resnet_core.training_state import TrainingState


class Step:
    """Trains the network of a `TrainingState` on one batch a call, and adds up losses and hits.

    Nothing in it moves to or from the device or waits for it, so that a CUDA graph can hold it.
    """

    def __init__(
        self, state: TrainingState, network: nn.Module, recipe: TrainingConfig, arithmetic: Arithmetic
    ) -> None:
        """`network` is what is called in place of the state's network; several ranks share its gradients."""
        self._state, self._network, self._recipe, self._arithmetic = state, network, recipe, arithmetic

    def set_lr(self, lr: float | Tensor) -> None:
        """`lr` may be a tensor `()` on the device if the optimizer's learning rate is one."""
        groups = self._state.optimizer.param_groups
        if isinstance(groups[0]["lr"], Tensor):  # all groups share it
            groups[0]["lr"].copy_(lr) if isinstance(lr, Tensor) else groups[0]["lr"].fill_(lr)
            return
        for group in groups:
            group["lr"] = float(lr)

    def __call__(self, images: Tensor, labels: Tensor, mixing: Mixing | None, *, first: bool = False) -> None:
        """Makes a step with images `(B, 3, H, W)`, normalised and in channels_last, and labels `(B,)`.

        `first` tells the very first step of a training.
        """
        state, recipe = self._state, self._recipe
        with self._arithmetic.autocast(images.device):
            logits = self._network(images)
        loss = _loss(logits.float(), labels, mixing, recipe.label_smoothing)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip_norm)
        state.optimizer.step()
        if state.average:
            if first:
                state.average.begin()
            else:
                state.average.follow()
        hits = (logits.detach().argmax(dim=1) == labels).sum()
        state.sums += torch.stack((loss.detach() * len(labels), hits.float()))


def _loss(logits: Tensor, labels: Tensor, mixing: Mixing | None, smoothing: float) -> Tensor:
    """Cross-entropy. A mixed image belongs to both its classes, by their shares of the image."""
    if mixing is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    weight = mixing.weight[:, None]
    shares = torch.zeros_like(logits).scatter_(1, labels[:, None], weight)
    shares.scatter_add_(1, mixing.labels[:, None], 1 - weight)
    return F.cross_entropy(logits, shares, label_smoothing=smoothing)
