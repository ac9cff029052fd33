"""Layers that a network trains faster with on a CPU.

They have the parameters of torch's own layers and the same names for them, and they compute the same beyond rounding.
Evaluation is torch's own everywhere, so that two machines differ as little as they can.
"""

from torch import Tensor, nn

from resnet_core.arithmetic import Arithmetic
from resnet_core.cpu import batch_norm, weight_gradient, winograd
from resnet_core.model import BatchNorm2d


class FasterConv2d(nn.Conv2d):
    """A 3x3 convolution that takes fewer multiplications, or has its weight gradient at once, where that is faster.

    The first is for float32 and the second for bf16.
    """

    def forward(self, x: Tensor) -> Tensor:
        stride, _ = self.stride
        if self.training and stride == 1 and winograd.pays(x, self.weight):
            return winograd.conv2d(x, self.weight)
        if self.training and weight_gradient.pays(x, self.weight, stride):
            return weight_gradient.conv2d(x, self.weight, stride)
        return super().forward(x)


class FasterBatchNorm2d(BatchNorm2d):
    """Batch norm that works on groups of pixels where that is faster."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and batch_norm.pays(x):
            return batch_norm.batch_norm(
                x, self.weight, self.bias, self.running_mean, self.running_var, self.momentum, self.eps
            )
        return super().forward(x)


def use_faster_layers(network: nn.Module, arithmetic: Arithmetic) -> None:
    """Turns torch's layers in `network` into those of these that the choice asks for, in place.

    Parameters and their names stay the same. Each layer looks at every batch and falls back on torch's own computation
    wherever it is not meant for it.
    """
    for module in network.modules():
        if arithmetic.grouped_batch_norm and type(module) is BatchNorm2d:
            module.__class__ = FasterBatchNorm2d
        elif (
            (arithmetic.winograd or arithmetic.product_gradient)
            and type(module) is nn.Conv2d
            and module.kernel_size == (3, 3)
        ):
            module.__class__ = FasterConv2d
