import pytest
import torch
from torch import Tensor, nn

from resnet_core.augment import normalize
from resnet_core.config import ModelConfig
from resnet_core.description import BlockConfig, NetworkConfig
from resnet_core.model import ResNet
from resnet_core.predict import images_at_once, predict

RESNET18 = NetworkConfig.from_model(ModelConfig(), 10)


def wide_stem(stem: int) -> NetworkConfig:
    """Costs little in spite of its wide stem, for its only block sees every fourth pixel of every fourth row."""
    block = BlockConfig(inner=2, outer=2, stride=4, projection=True)
    return NetworkConfig(stem=stem, stages=((block,),), classes=3)


@pytest.mark.parametrize(
    ("network", "side", "expected"),
    [
        (RESNET18, 32, 1024),
        (RESNET18, 8, 1024),  # more would not be faster
        (RESNET18, 64, 256),
        (RESNET18, 512, 4),
        (RESNET18.model_copy(update={"stem": 65536}), 512, 1),
        (wide_stem(256), 64, 64),
    ],
)
def test_batch_is_as_large_as_the_largest_activation_may_be(network: NetworkConfig, side: int, expected: int) -> None:
    assert images_at_once(network, side, side) == expected


def test_largest_activation_may_be_that_of_a_later_layer() -> None:
    blocks = [BlockConfig(inner=inner, outer=4, stride=2, projection=True) for inner in (4, 1024)]
    network = NetworkConfig(stem=4, stages=tuple((block,) for block in blocks), classes=3)
    assert images_at_once(network, 61, 61) == 2**26 // (1024 * 16 * 16)


def test_largest_activation_may_be_that_of_a_convolution_before_the_maximum() -> None:
    block = BlockConfig(inner=1024, outer=4, stride=4, projection=True, pooled=True)
    network = NetworkConfig(stem=4, stages=((block,),), classes=3)
    assert images_at_once(network, 64, 64) == 2**26 // (1024 * 64 * 64)


def test_images_reach_the_network_in_bounded_batches() -> None:
    network = ResNet(wide_stem(256)).eval()
    images = torch.randint(0, 256, (100, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = torch.full((3,), 0.5), torch.full((3,), 0.2)
    shapes: list[tuple[int, ...]] = []

    def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes.append(tuple(inputs[0].shape))

    handle = network.stem.register_forward_pre_hook(note)
    logits = predict(network, images, mean, std, torch.float32)
    handle.remove()
    assert shapes == [(64, 3, 64, 64), (36, 3, 64, 64)]
    with torch.inference_mode():
        torch.testing.assert_close(logits, torch.cat([network(normalize(row, mean, std)) for row in images.split(1)]))
