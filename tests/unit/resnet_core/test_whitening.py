import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig

COMPONENTS = 27  # of patches of 3 x 3 pixels in three colours


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Smooth ones, whose patches vary along some directions much more than along others."""
    noise = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 5, stride=1, padding=2) * 5 + 0.3 * noise


def stem(images: Tensor, width: int, *, seed: int = 0, init: str = "whitening") -> Tensor:
    """The weights of the stem before training."""
    model = ModelConfig(depths=(1,), widths=(8,), strides=(1,), stem_width=width, stem_init=init)
    batch = images, torch.zeros(len(images), dtype=torch.int64)
    return build_network(model, PruningConfig(), 3, seed=seed, batch=batch).stem.weight.detach()


def test_outputs_are_uncorrelated_and_vary_equally(images: Tensor) -> None:
    weights = stem(images, 2 * COMPONENTS)
    assert torch.equal(weights[1::2], -weights[::2])
    outputs = F.conv2d(images.double(), weights[::2].double()).transpose(0, 1).flatten(1)
    covariance = torch.cov(outputs)
    torch.testing.assert_close(covariance, torch.eye(COMPONENTS, dtype=torch.float64), rtol=0, atol=0.05)


def test_components_of_largest_variance_come_first(images: Tensor) -> None:
    weights = stem(images, 2 * COMPONENTS)[::2].flatten(1)
    variances = F.conv2d(images, (weights / weights.norm(dim=1, keepdim=True)).view(-1, 3, 3, 3)).var(dim=(0, 2, 3))
    assert torch.equal(variances, variances.sort(descending=True).values)
    assert torch.equal(stem(images, 10), stem(images, 2 * COMPONENTS)[:10])


def test_filters_that_are_left_over_stay_random(images: Tensor) -> None:
    wide, random = stem(images, 60), stem(images, 60, init="random")
    assert torch.equal(wide[2 * COMPONENTS :], random[2 * COMPONENTS :])
    assert torch.equal(wide[: 2 * COMPONENTS], stem(images, 60, seed=1)[: 2 * COMPONENTS])


def test_images_without_any_differences_give_finite_weights() -> None:
    assert stem(torch.zeros(4, 3, 8, 8), 20).isfinite().all()


def test_stem_cannot_whiten_without_images() -> None:
    with pytest.raises(ValueError, match=r"model\.stemInit=whitening: needs a batch"):
        build_network(ModelConfig(stem_init="whitening"), PruningConfig(), 3, seed=0)
