"""The exponential moving average of a network's weights."""

import torch

from resnet_core.model import ResNet, copy_network


class AveragedWeights:
    """A copy of a network whose weights and running statistics follow those of the network, step by step.

    After the first step they are the network's, and from then on `decay` times the average plus `1 - decay` times the
    network's, as torch.optim.swa_utils.AveragedModel computes it, but in one operation and without waiting for a GPU.
    """

    def __init__(self, model: ResNet, decay: float) -> None:
        self.network = copy_network(model)
        self._share = 1 - decay
        pairs = zip(self.network.state_dict().values(), model.state_dict().values(), strict=True)
        floats = [(own, theirs) for own, theirs in pairs if own.is_floating_point()]
        self._own, self._theirs = [own for own, _ in floats], [theirs for _, theirs in floats]

    @torch.no_grad()
    def begin(self) -> None:
        """To be called after the first step of a training."""
        torch._foreach_copy_(self._own, self._theirs)

    @torch.no_grad()
    def follow(self) -> None:
        """To be called after every other step."""
        torch._foreach_lerp_(self._own, self._theirs, self._share)
