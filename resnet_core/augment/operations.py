"""The image operations of the augmentation policies. Each changes a whole batch, with every image's own parameters.

Images are `(M, 3, H, W) uint8`, and row m of `parameters` belongs to image m. What the parameters are, each operation
says; `tables.py` computes them from the policies' magnitudes. Results are those of torchvision's kernels for one image,
in which a factor is a number of Python: hence the same arithmetic, in the same order and in float32.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def keep(images: Tensor, _: Tensor) -> Tensor:
    return images


def move(images: Tensor, parameters: Tensor) -> Tensor:
    """Takes each pixel from another place of the same image.

    Args:
        images: to be sheared, translated or rotated.
        parameters: `(M, H * W) int32`, for each pixel the number of its source, from 1; 0 for a black pixel.

    """
    black_first = F.pad(images.flatten(2), (1, 0))
    return black_first.gather(2, parameters.long()[:, None].expand(-1, 3, -1)).view_as(images)


def brightness(images: Tensor, parameters: Tensor) -> Tensor:
    """Multiplies each value by the factor `(M, 2)[:, 0] float32`."""
    return _to_bytes(images * _per_image(parameters[:, 0]))


def color(images: Tensor, parameters: Tensor) -> Tensor:
    """Blends each image with its shades of grey. Parameters are the shares of both, `(M, 2) float32`."""
    return _blend(images, _grey(images), parameters)


def contrast(images: Tensor, parameters: Tensor) -> Tensor:
    """Blends each image with its mean shade of grey. Parameters are the shares of both, `(M, 2) float32`."""
    grey = _grey(images)
    # As many values as the image has pixels, since a CPU is slow at two operands of a value an image.
    return _blend(images, grey.mean(dim=(1, 2, 3), keepdim=True).expand_as(grey).contiguous(), parameters)


def sharpness(images: Tensor, parameters: Tensor) -> Tensor:
    """Blends each image, but for its outermost pixels, with its blurred self. Parameters are `(M, 2) float32`.

    The blurred image is the mean of 3 x 3 pixels, the middle one of which counts five times. Its thirteenths are summed
    as whole numbers, which is exact, so that it is rounded as that of any convolution.
    """
    values = images.float()
    rows = values[:, :, :-2].add(values[:, :, 1:-1]).add_(values[:, :, 2:])
    blurred = rows[..., :-2].add(rows[..., 1:-1]).add_(rows[..., 2:])
    inner = values[..., 1:-1, 1:-1]
    blurred = blurred.add_(inner, alpha=4).div_(13).round_()
    inner.addcmul_(blurred.sub_(inner), _per_image(parameters[:, 1]))
    return _to_bytes(values)


def posterize(images: Tensor, parameters: Tensor) -> Tensor:
    """Keeps only those bits of each value that are set in the image's mask `(M, 1) uint8`."""
    return images & _per_image(parameters[:, 0])


def solarize(images: Tensor, parameters: Tensor) -> Tensor:
    """Inverts the values from the image's threshold `(M, 1) uint8` upwards."""
    return torch.where(images >= _per_image(parameters[:, 0]), images.bitwise_not(), images)


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretches the values of each channel to 0 to 255; a channel with one value only stays as it is."""
    pixels = images.flatten(2)
    low, high = pixels.amin(dim=2, keepdim=True), pixels.amax(dim=2, keepdim=True)
    flat = low == high
    scale = (high - low).mul(1 / 255).masked_fill_(flat, 1)
    return _to_bytes(pixels.sub(low.float().masked_fill_(flat, 0)).div_(scale)).view_as(images)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Gives each channel about as many pixels of one value as of another, as Pillow's `ImageOps.equalize` does."""
    pixels = images.flatten(2).long()
    one = torch.ones((), dtype=torch.int32, device=images.device)
    histogram = torch.zeros((*pixels.shape[:2], 256), dtype=torch.int32, device=images.device)
    histogram.scatter_add_(2, pixels, one.expand_as(pixels))
    brightest = histogram.gather(2, pixels.amax(dim=2, keepdim=True))
    step = (pixels.shape[2] - brightest).floor_divide_(255)
    # The new value is the number of darker pixels, and half a step, in steps.
    darker = histogram.cumsum(dim=2, dtype=torch.int32).sub_(histogram)
    new = darker.add_(step // 2).floor_divide_(step.clamp(min=1)).clamp_(max=255)
    new = torch.where(step > 0, new, torch.arange(256, dtype=torch.int32, device=images.device))
    return new.to(torch.uint8).gather(2, pixels).view_as(images)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _grey(images: Tensor) -> Tensor:
    """`(M, 1, H, W) float32`, whole numbers, with the weights of ITU-R BT.601."""
    red, green, blue = images.unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_()[:, None]


def _blend(images: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    own, rest = shares.unbind(1)
    return _to_bytes((images * _per_image(own)).addcmul_(others, _per_image(rest)))


def _to_bytes(values: Tensor) -> Tensor:
    """Without fractions, and 0 to 255; `values` is overwritten."""
    return values.clamp_(0, 255).to(torch.uint8)
