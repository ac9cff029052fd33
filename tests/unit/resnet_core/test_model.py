import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from resnet_core.config import ModelConfig, PruningConfig
from resnet_core.count import BudgetExceeded, check_budget, count_layers, count_macs, count_parameters
from resnet_core.description import BlockConfig, NetworkConfig
from resnet_core.model import BasicBlock, ResNet, count_batches, example_input
from resnet_core.pruning import planned_config, prune

RESNET18 = NetworkConfig.from_model(ModelConfig(), classes=10)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (ModelConfig(), 11_173_962),
        (ModelConfig(depths=(2, 2, 2), strides=(1, 2, 2)), 2_777_674),
        (ModelConfig(depths=(2, 2, 2), strides=(1, 2, 4)), 2_777_674),
        (ModelConfig(depths=(4, 5, 3), strides=(1, 2, 2)), 4_992_586),
        (ModelConfig(depths=(3, 3, 3), strides=(1, 2, 2)), 4_327_754),
    ],
)
def test_parameters_are_exact_for_depths_and_strides(model: ModelConfig, parameters: int) -> None:
    config = NetworkConfig.from_model(model, classes=10)
    assert count_parameters(config) == parameters
    assert sum(p.numel() for p in ResNet(config).parameters()) == parameters


def test_network_is_the_resnet18_of_torchvision_behind_another_stem() -> None:
    model, reference = ResNet(RESNET18), resnet18(num_classes=10)
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    weights = dict(zip(reference.state_dict(), model.state_dict().values(), strict=True))  # in the same order
    assert [tuple(tensor.shape) for tensor in weights.values()] == [
        (*t.shape,) for t in reference.state_dict().values()
    ]
    reference.load_state_dict(weights)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(images), reference(images))
    count_batches(model, 1)
    for name, tensor in zip(weights, model.state_dict().values(), strict=True):  # running statistics, too
        torch.testing.assert_close(reference.state_dict()[name], tensor)


def test_network_is_rebuilt_from_json_with_the_same_output() -> None:
    model = ResNet(RESNET18).eval()
    again = ResNet(NetworkConfig.model_validate_json(model.config().model_dump_json())).eval()
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(images), again(images))


def test_projection_is_kept_when_widths_happen_to_be_equal() -> None:
    config = NetworkConfig.from_model(ModelConfig(depths=(1, 1), widths=(16, 24), strides=(1, 1)), classes=10)
    narrow = config.model_copy(
        update={"stages": tuple(tuple(b.model_copy(update={"outer": 16}) for b in s) for s in config.stages)}
    )
    assert ResNet(narrow).config() == narrow
    assert narrow.stages[1][0].projection


@pytest.mark.parametrize("strides", [(1, 2), (2, 2)])
def test_stem_of_its_own_width_ends_in_a_projection(strides: tuple[int, int]) -> None:
    model = ModelConfig(depths=(2, 1), widths=(16, 24), stem_width=10, strides=strides)
    config = NetworkConfig.from_model(model, classes=3)
    assert config.stem == 10
    assert all(stage[0].projection for stage in config.stages)
    network = ResNet(config)
    assert network.config() == config
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 3)
    prune(network, PruningConfig(method="amounts", amounts=(0.5,)))
    assert (network.config().stem, network.stem.out_channels) == (10, 10)  # no block's output flows through it


def test_dropout_changes_the_logits_only_in_training() -> None:
    model = ResNet(NetworkConfig.from_model(ModelConfig(depths=(1,), width=8, strides=(1,)), 10), dropout=0.5)
    images = torch.randn(4, 3, 32, 32)
    model.eval()
    assert torch.equal(model(images), model(images))
    for module in model.modules():  # batch norm stays as in evaluation: only dropout may differ
        if isinstance(module, torch.nn.Dropout):
            module.train()
    assert not torch.equal(model(images), model(images))


@pytest.mark.parametrize("size", [32, 48])
def test_macs_equal_the_flop_counter_of_torch(size: int) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ResNet(RESNET18).eval()(example_input(size))
    assert count_macs(RESNET18, size) * 2 == counter.get_total_flops()


def test_layers_add_up_to_the_network() -> None:
    layers = count_layers(RESNET18)
    assert sum(layer.parameters for layer in layers) == 11_173_962
    assert len(layers) == 1 + 8 * 2 + 3 + 1
    assert [layer.filters for layer in layers if layer.name.endswith("conv1")] == [64] * 2 + [128] * 2 + [256] * 2 + [
        512
    ] * 2


def test_budget_error_names_both_numbers() -> None:
    assert check_budget(RESNET18, 11_173_962) == 11_173_962
    with pytest.raises(BudgetExceeded, match=r"budget\.parameters=5,000,000: .* 11,173,962 parameters"):
        check_budget(RESNET18, 5_000_000)


@pytest.mark.parametrize("width", [8, 15, 16])
def test_narrow_projection_equals_the_strided_convolution(width: int) -> None:
    """In a process that oneDNN's kernel would have killed: odd batch, channels_last, gradients."""
    block = BasicBlock(width, BlockConfig(inner=8, outer=24, stride=2, projection=True))
    conv = block.to(memory_format=torch.channels_last).shortcut[0]  # type: ignore[index]
    images = torch.randn(25, width, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    reference = torch.nn.functional.conv2d(images, conv.weight, stride=2)
    torch.testing.assert_close(conv(images), reference)
    for _ in range(5):
        block(images).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()


@pytest.mark.parametrize(("side", "stride"), [(16, 2), (15, 2), (13, 4)])
def test_maximum_makes_maps_as_small_as_a_stride_does(side: int, stride: int) -> None:
    strided = BlockConfig(inner=6, outer=10, stride=stride, projection=True)
    pooled = BasicBlock(4, strided.model_copy(update={"pooled": True})).eval()
    images = torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(0))
    assert pooled(images).shape == BasicBlock(4, strided)(images).shape
    maps = F.max_pool2d(F.conv2d(images, pooled.conv1.weight, padding=1), stride, ceil_mode=True)
    inside = pooled.norm2(pooled.conv2(F.relu(pooled.norm1(maps))))
    outside = pooled.shortcut(F.max_pool2d(images, stride, ceil_mode=True))
    torch.testing.assert_close(pooled(images), F.relu(inside + outside))


def test_network_that_pools_is_described_and_counted_as_it_is() -> None:
    model = ModelConfig(depths=(1, 2), widths=(8, 16), strides=(1, 2), downsampling="maxpool")
    config = NetworkConfig.from_model(model, classes=10)
    assert [[block.pooled for block in stage] for stage in config.stages] == [[False], [True, False]]
    network = ResNet(NetworkConfig.model_validate_json(config.model_dump_json())).eval()
    assert network.config() == config
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(example_input(16))
    assert count_macs(config, 16) * 2 == counter.get_total_flops()
    prune(network, PruningConfig(method="amounts", amounts=(0.5,)))
    assert network.config() == planned_config(config, PruningConfig(method="amounts", amounts=(0.5,)))
