import pytest
import torch
import torch_pruning
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from resnet_core.config import ModelConfig, PruningConfig
from resnet_core.count import count_macs, count_parameters
from resnet_core.description import NetworkConfig
from resnet_core.model import ResNet
from resnet_core.pruning import amounts_for_target, channel_importance, planned_config, prune, pruned_config

RESNET18 = NetworkConfig.from_model(ModelConfig(), classes=10)
SMALL = NetworkConfig.from_model(ModelConfig(depths=(2, 1), width=8, strides=(1, 2)), classes=10)
PAPER_AMOUNTS = (0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3)


def test_paper_amounts_leave_the_paper_network() -> None:
    model = ResNet(RESNET18)
    prune(model, PruningConfig(method="amounts", amounts=PAPER_AMOUNTS))
    assert sum(p.numel() for p in model.parameters()) == 4_493_525
    config = model.config()
    assert config.stem == 53
    assert [[b.outer for b in stage] for stage in config.stages] == [[w, w] for w in (53, 83, 164, 252)]
    assert [[b.inner for b in stage] for stage in config.stages] == [[w, w] for w in (58, 103, 205, 359)]
    assert model.training


def test_pruned_network_is_rebuilt_from_its_config() -> None:
    model = ResNet(SMALL).eval()
    prune(model, PruningConfig(method="amounts", amounts=(0.3, 0.2, 0.4)))
    again = ResNet(NetworkConfig.model_validate_json(model.config().model_dump_json())).eval()
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(images), again(images))
    assert not model.training


def test_weakest_filters_by_l1_norm_are_removed() -> None:
    model = ResNet(SMALL)
    conv = next(model.blocks()).conv1
    kept = conv.weight.detach().clone()
    weakest = kept.abs().sum(dim=(1, 2, 3)).argsort()[:4]
    prune(model, PruningConfig(method="amounts", amounts=(0.5, 0, 0)))
    survivors = [i for i in range(8) if i not in weakest.tolist()]
    # conv1 reads the stem, of which the group of conv2 took half: compare the norms' order by matching filters
    assert next(model.blocks()).conv1.out_channels == 4
    stem_kept = [
        i for i in range(8) if any(torch.equal(kept[survivors[0], i], f) for f in next(model.blocks()).conv1.weight[0])
    ]
    assert len(stem_kept) == 4
    assert torch.equal(next(model.blocks()).conv1.weight, kept[survivors][:, stem_kept])


@pytest.mark.parametrize("importance", ["l1", "l2", "random", "taylor"])
def test_every_importance_leaves_the_planned_widths(importance: str) -> None:
    pruning = PruningConfig(method="amounts", amounts=(0.3, 0.2, 0.4), importance=importance)
    model = ResNet(SMALL)
    batch = (torch.randn(8, 3, 32, 32), torch.arange(8))
    prune(model, pruning, batch=batch)
    assert model.config() == planned_config(SMALL, pruning)
    assert all(p.grad is None for p in model.parameters())
    loss = F.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("l1", torch_pruning.importance.MagnitudeImportance(p=1, group_reduction="first", normalizer=None)),
        ("l2", torch_pruning.importance.MagnitudeImportance(p=2, group_reduction="first", normalizer=None)),
        ("taylor", torch_pruning.importance.TaylorImportance(group_reduction="first", normalizer=None)),
        ("random", torch_pruning.importance.RandomImportance()),
    ],
)
def test_importance_is_that_of_torch_pruning(name: str, theirs: torch_pruning.importance.Importance) -> None:
    torch.manual_seed(0)
    model = ResNet(SMALL)
    F.cross_entropy(model(torch.randn(8, 3, 32, 32)), torch.arange(8)).backward()
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=torch.zeros(1, 3, 32, 32))
    for block in model.blocks():
        for conv in (block.conv1, block.conv2):
            every = list(range(conv.out_channels))
            group = graph.get_pruning_group(conv, torch_pruning.prune_conv_out_channels, every)
            torch.manual_seed(3)
            expected = theirs(group)
            assert torch.equal(channel_importance(conv, name, torch.Generator().manual_seed(3)), expected)


def test_random_importance_follows_its_seed() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        model = ResNet(SMALL)
        prune(model, PruningConfig(method="amounts", amounts=(0.5,) * 3, importance="random"), seed=seed)
        return model.stem.weight.detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_taylor_importance_without_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pruning\.importance=taylor"):
        prune(ResNet(SMALL), PruningConfig(method="amounts", amounts=(0.1,) * 3, importance="taylor"))


@settings(max_examples=25, deadline=None)
@given(amounts=st.tuples(*[st.floats(0, 0.95)] * 3), round_to=st.sampled_from([1, 4, 8]))
def test_planned_widths_are_the_pruned_ones_for_any_amounts(amounts: tuple[float, ...], round_to: int) -> None:
    model = ResNet(SMALL)
    prune(model, PruningConfig(method="amounts", amounts=amounts, round_to=round_to))
    config = pruned_config(SMALL, amounts, round_to)
    assert model.config() == config
    assert sum(p.numel() for p in model.parameters()) == count_parameters(config)


def widths(config: NetworkConfig) -> list[int]:
    return [config.stem, *(width for stage in config.stages for block in stage for width in (block.inner, block.outer))]


@pytest.mark.parametrize(("round_to", "parameters"), [(8, 4_283_610), (16, 4_151_962)])
def test_every_width_is_rounded_down_once(round_to: int, parameters: int) -> None:
    config = pruned_config(RESNET18, PAPER_AMOUNTS, round_to)
    assert widths(config) == [width - width % round_to for width in widths(pruned_config(RESNET18, PAPER_AMOUNTS))]
    assert count_parameters(config) == parameters
    assert count_macs(config) < count_macs(RESNET18)


@given(amounts=st.tuples(*[st.floats(0, 0.99)] * 8), round_to=st.sampled_from([8, 16, 64]))
def test_rounded_widths_are_multiples_however_much_is_pruned(amounts: tuple[float, ...], round_to: int) -> None:
    assert all(width > 0 and width % round_to == 0 for width in widths(pruned_config(RESNET18, amounts, round_to)))


def test_target_takes_the_smallest_amount_that_reaches_it() -> None:
    amounts = amounts_for_target(RESNET18, 4_990_000)
    assert count_parameters(pruned_config(RESNET18, amounts)) <= 4_990_000
    less = tuple(amount - 0.001 for amount in amounts)
    assert count_parameters(pruned_config(RESNET18, less)) > 4_990_000
    assert amounts_for_target(RESNET18, 11_173_962) == (0,) * 8


def test_target_out_of_reach_is_refused_with_the_least_possible() -> None:
    with pytest.raises(ValueError, match=r"pruning\.target=10: at least [\d,]+"):
        amounts_for_target(RESNET18, 10)


def test_amounts_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pruning\.amounts=\[0\.1\]: 8 values expected"):
        pruned_config(RESNET18, (0.1,))
