"""What is chosen of layers that take the times a test gives."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from resnet_core.arithmetic import Arithmetic
from resnet_core.arithmetic_choice import BF16_GAIN, GAIN, MACS, choose_arithmetic
from resnet_core.config import ModelConfig
from resnet_core.cpu.timing import Clock, Layer, Timed
from resnet_core.description import NetworkConfig

CPU = torch.device("cpu")
SMALL_MAPS = NetworkConfig.from_model(ModelConfig(), 10)  # also of 8 x 8 and 4 x 4 pixels
LARGE_MAPS = NetworkConfig.from_model(ModelConfig(depths=(2, 2), strides=(1, 2)), 10)
ODD = NetworkConfig.from_model(ModelConfig(depths=(1, 1), widths=(53, 90), strides=(1, 2)), 10)


class MachineThat:
    """Takes so many times the speed of plain float32 for what a layer is computed in; notes what it was asked."""

    def __init__(self, bf16: float = 1.0, winograd: float = 1.0, groups: float = 1.0, products: float = 1.0) -> None:
        self._bf16, self._winograd, self._groups, self._products = bf16, winograd, groups, products
        self.asked: list[tuple[Layer, Arithmetic, Arithmetic]] = []

    def __call__(self, layer: Layer, before: Arithmetic, after: Arithmetic) -> Timed | None:
        self.asked.append((layer, before, after))
        return Timed(layer, self._seconds(before), self._seconds(after))

    def _seconds(self, arithmetic: Arithmetic) -> float:
        speed = self._bf16 if arithmetic.precision == torch.bfloat16 else 1.0
        speed *= self._winograd if arithmetic.winograd else 1.0
        speed *= self._products if arithmetic.product_gradient else 1.0
        speed *= self._groups if arithmetic.grouped_batch_norm else 1.0
        return 0.001 / speed


def chosen(clock: Clock, network: NetworkConfig = LARGE_MAPS, precision: Any = "auto", batch: int = 128) -> Arithmetic:
    return choose_arithmetic(precision, network, 32, batch, CPU, clock=clock)


@pytest.mark.parametrize(
    ("speed", "precision"),
    [
        (0.5, torch.float32),
        (BF16_GAIN - 0.01, torch.float32),
        (BF16_GAIN + 0.01, torch.bfloat16),
        (2.3, torch.bfloat16),
    ],
)
def test_bf16_is_taken_only_where_it_is_clearly_faster(speed: float, precision: torch.dtype) -> None:
    found = chosen(MachineThat(bf16=speed))
    assert found == Arithmetic(precision)
    assert f"float32 1.00 ms, bfloat16 {1 / speed:.2f} ms" in found.reason


@pytest.mark.parametrize("width", [128, 256, 1024])
def test_what_is_timed_has_many_pixels_for_each_weight(width: int) -> None:
    """With few, converting the weights to bf16 would take longer than all else, as it does in no training."""
    machine = MachineThat()
    chosen(machine, NetworkConfig.from_model(ModelConfig(depths=(1, 1), width=width, strides=(4, 1)), 10), batch=500)
    layer, *_ = machine.asked[0]
    assert layer.images * layer.rows * layer.columns > 900


def test_convolution_before_a_maximum_counts_with_the_maps_that_it_has() -> None:
    """There it is the costliest one; with a stride the other convolution of the block is."""
    shape = {"depths": (1,), "widths": (64,), "stem_width": 32, "strides": (2,)}
    for downsampling, channels in (("maxpool", 32), ("convolution", 64)):
        machine = MachineThat()
        model = ModelConfig(**shape, downsampling=downsampling)
        chosen(machine, NetworkConfig.from_model(model, 10))
        assert machine.asked[0][0].channels == channels


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("asked", "precision"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.parametrize("network", [SMALL_MAPS, LARGE_MAPS, ODD])
def test_the_recipe_overrules_what_is_faster(network: NetworkConfig, asked: str, precision: torch.dtype) -> None:
    """And then nothing is measured."""
    machine = MachineThat(bf16=0.5 if asked == "bf16" else 2.0, winograd=2, groups=2, products=2)
    assert chosen(machine, network, asked) == Arithmetic(precision)
    assert machine.asked == []


@pytest.mark.parametrize(("speed", "used"), [(0.7, False), (GAIN - 0.01, False), (GAIN + 0.01, True)])
def test_fewer_multiplications_are_taken_only_where_they_are_faster(speed: float, used: bool) -> None:
    assert chosen(MachineThat(winograd=speed), SMALL_MAPS) == Arithmetic(torch.float32, winograd=used)


@pytest.mark.parametrize(("speed", "used"), [(0.7, False), (GAIN - 0.01, False), (GAIN + 0.01, True)])
def test_weight_gradients_are_products_only_where_that_is_faster(speed: float, used: bool) -> None:
    machine = MachineThat(bf16=2, products=speed)
    assert chosen(machine, SMALL_MAPS) == Arithmetic(torch.bfloat16, product_gradient=used)
    layer, *_ = machine.asked[-1]
    assert (layer.columns, layer.filters, layer.threads) == (8, 256, 1)


def test_bf16_has_to_be_faster_than_float32_with_fewer_multiplications() -> None:
    """Of ResNet-18, six of 13 convolutions with stride 1 are of small maps."""
    others, small = 7 / 13, 6 / 13
    limit = BF16_GAIN / (others + small / 2)
    assert limit > 1.4
    assert chosen(MachineThat(bf16=limit - 0.01, winograd=2), SMALL_MAPS) == Arithmetic(torch.float32, winograd=True)
    assert chosen(MachineThat(bf16=limit + 0.01, winograd=2), SMALL_MAPS) == Arithmetic(torch.bfloat16)


def test_no_time_is_spent_on_what_the_network_cannot_use() -> None:
    machine = MachineThat()
    chosen(machine, SMALL_MAPS, batch=16)  # too few images for fewer multiplications
    chosen(machine, LARGE_MAPS)
    assert [after for _, _, after in machine.asked] == [Arithmetic(torch.bfloat16)] * 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("bf16", [0.5, 2.0])
@pytest.mark.parametrize(("speed", "used"), [(0.7, False), (GAIN - 0.01, False), (GAIN + 0.01, True)])
def test_batch_norm_by_groups_is_taken_only_where_it_is_faster(speed: float, used: bool, bf16: float) -> None:
    machine = MachineThat(bf16=bf16, groups=speed)
    found = chosen(machine, ODD)
    assert found == Arithmetic(torch.bfloat16 if bf16 > 1 else torch.float32, grouped_batch_norm=used)
    layer, before, after = machine.asked[-1]
    assert (layer.channels, layer.filters, layer.threads) == (53, None, 2)
    assert after == replace(before, grouped_batch_norm=True) == replace(found, grouped_batch_norm=True)


def test_batch_norm_by_groups_is_for_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    machine = MachineThat(groups=2)
    assert not chosen(machine, ODD).grouped_batch_norm
    assert len(machine.asked) == 1


@pytest.mark.usefixtures("two_threads")
def test_nothing_is_taken_that_could_not_be_timed() -> None:
    for network in (SMALL_MAPS, ODD):
        found = chosen(lambda *_: None, network)
        assert found == Arithmetic(torch.float32)
        assert found.reason.count("too much else runs here to time") == 2


@pytest.mark.parametrize(
    ("capability", "asked", "precision"),
    [
        ((7, 5), "auto", torch.float32),
        ((8, 0), "auto", torch.bfloat16),
        ((9, 0), "auto", torch.bfloat16),
        ((9, 0), "fp32", torch.float32),
        ((7, 5), "bf16", torch.bfloat16),
    ],
)
def test_of_a_gpu_its_generation_tells(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], asked: Any, precision: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    machine = MachineThat(bf16=0.5, winograd=2, groups=2)
    assert choose_arithmetic(asked, SMALL_MAPS, 32, 128, torch.device("cuda", 0), clock=machine) == Arithmetic(
        precision
    )
    assert machine.asked == []


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(),
        ModelConfig(width=2**16),
        ModelConfig(depths=(1,), width=1, strides=(4,)),
        ModelConfig(depths=(1, 1, 1, 1), width=500, strides=(4, 4, 4, 4)),
    ],
)
@pytest.mark.parametrize("size", [8, 32, 512])
def test_what_is_timed_is_a_small_part_of_the_network(model: ModelConfig, size: int) -> None:
    machine = MachineThat()
    choose_arithmetic("auto", NetworkConfig.from_model(model, 10), size, 128, CPU, clock=machine)
    layer = machine.asked[0][0]
    assert layer.filters is not None
    assert 1 <= layer.images <= 128
    assert 1 <= layer.rows <= layer.columns <= size
    assert 9 * layer.images * layer.rows * layer.columns * layer.channels * layer.filters <= MACS
