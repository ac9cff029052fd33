import pytest
import torch
from torch import Tensor, nn

from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig, TrainingConfig
from resnet_core.model import ResNet
from resnet_core.muon import ITERATIONS, orthogonal
from resnet_core.optimizer import build_optimizer

MODEL = ModelConfig(depths=(2, 1), widths=(12, 20), strides=(1, 2))


def network() -> ResNet:
    return build_network(MODEL, PruningConfig(), 3, seed=0)


def fill_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def is_turned(name: str, parameter: Tensor) -> bool:
    return name.startswith("stages") and parameter.ndim == 4


@pytest.mark.parametrize("shape", [(3, 16, 144), (2, 64, 20), (1, 30, 30)])
def test_singular_vectors_stay_and_values_come_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before, after = torch.linalg.svd(matrices, full_matrices=False), orthogonal(matrices, torch.float32)
    values = before.U.mT @ after @ before.Vh.mT
    diagonal = values.diagonal(dim1=1, dim2=2)
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-3
    assert (diagonal > 0).all()
    middle = diagonal[:, : shape[1] // 2]  # the smallest ones of a square matrix take more iterations
    assert 0.6 < middle.min() <= middle.max() < 1.3


def test_direction_is_that_of_torch_with_as_many_iterations() -> None:
    """Which computes in bfloat16."""
    weights = nn.Parameter(torch.zeros(24, 100))
    weights.grad = torch.randn(24, 100, generator=torch.Generator().manual_seed(0))
    torch.optim.Muon([weights], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False, ns_steps=ITERATIONS).step()
    ours = orthogonal(weights.grad[None], torch.float32)[0]
    assert torch.nn.functional.cosine_similarity(-weights.flatten(), ours.flatten(), dim=0) > 0.999


def test_convolutions_of_blocks_are_turned_and_keep_their_lengths() -> None:
    model = network()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, TrainingConfig(optimizer="muon", lr=0.1))
    fill_gradients(model, 1)
    optimizer.step()
    turned = {name: parameter for name, parameter in model.named_parameters() if is_turned(name, parameter)}
    assert len(turned) == 7
    for name, parameter in turned.items():
        assert parameter.norm().item() == pytest.approx(before[name].norm().item(), rel=1e-5)
        change = (parameter - before[name]).norm() / before[name].norm()
        assert change.item() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("nesterov", [True, False])
def test_all_else_is_trained_as_sgd_does_at_its_own_rate(nesterov: bool) -> None:
    recipe = TrainingConfig(
        optimizer="muon", lr=0.2, auxiliary_lr=0.05, momentum=0.8, nesterov=nesterov, weight_decay=0.01
    )
    model, other = network(), network()
    rest = [parameter for name, parameter in other.named_parameters() if not is_turned(name, parameter)]
    optimizer = build_optimizer(model, recipe)
    groups = [
        {"params": [parameter for parameter in rest if parameter.ndim > 1], "weight_decay": 0.01},
        {"params": [parameter for parameter in rest if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    plain = torch.optim.SGD(groups, momentum=0.8, nesterov=nesterov)
    for step, factor in enumerate((1.0, 0.5, 0.1)):
        for group in optimizer.param_groups:
            group["lr"] = 0.2 * factor
        for group in plain.param_groups:
            group["lr"] = 0.05 * factor
        for trained in (model, other):
            fill_gradients(trained, step)
        optimizer.step()
        plain.step()
    expected = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        assert is_turned(name, parameter) or torch.allclose(parameter, expected[name], rtol=1e-5, atol=1e-7), name


def test_gradient_of_zero_changes_nothing() -> None:
    model = network()
    before = model.stages[0].get_parameter("0.conv1.weight").detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    build_optimizer(model, TrainingConfig(optimizer="muon")).step()
    torch.testing.assert_close(model.stages[0].get_parameter("0.conv1.weight"), before)
