import json
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from resnet_core.arithmetic import Arithmetic
from resnet_core.augment import normalize
from resnet_core.batches import EpochBatches, TrainingData, balanced_batch
from resnet_core.build import build_network
from resnet_core.config import (
    LARGEST_FACTOR,
    AugmentationConfig,
    ModelConfig,
    PruningConfig,
    ScheduleConfig,
    TrainingConfig,
)
from resnet_core.cpu import batch_norm, weight_gradient, winograd
from resnet_core.cpu.layers import FasterBatchNorm2d, FasterConv2d, use_faster_layers
from resnet_core.data import Images
from resnet_core.epoch import EpochResult
from resnet_core.model import ResNet, count_batches
from resnet_core.optimizer import build_optimizer
from resnet_core.predict import predict
from resnet_core.train import Diverged, train
from resnet_core.training_state import Checkpoint
from tests.support.plain_network import plain_network
from tests.support.saver import AllSaved
from tests.support.two_classes import EVERYTHING, MODEL, two_classes


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return two_classes()


def network(recipe: TrainingConfig = EVERYTHING) -> ResNet:
    return build_network(MODEL, PruningConfig(), 2, dropout=recipe.dropout, seed=1)


def run(
    data: TrainingData, recipe: TrainingConfig, epochs: int, **options: Any
) -> tuple[ResNet, list[EpochResult], list[Checkpoint]]:
    """The network, the results of all epochs, and checkpoints before every step and at the end."""
    results: list[EpochResult] = []
    saver = AllSaved()

    def on_epoch(result: EpochResult, _evaluated: ResNet) -> None:
        results.append(result)

    trained = train(network(recipe), recipe, data, epochs, seed=7, saver=saver, on_epoch=on_epoch, **options)
    return trained, results, saver.checkpoints


def assert_equal(left: Any, right: Any) -> None:
    if isinstance(left, Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal(left[key], right[key])
    else:
        assert left == right


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "asgd", "muon"])
def test_training_resumed_before_any_step_ends_bit_for_bit_equal(data: TrainingData, optimizer: str) -> None:
    recipe = EVERYTHING.model_copy(update={"optimizer": optimizer, "lr": 0.01})
    whole, results, checkpoints = run(data, recipe, 3)
    steps = len(data.train) // recipe.batch_size
    assert len(checkpoints) == 3 * steps + 1
    for number in (1, steps, 2 * steps - 1):
        resumed, rest, last = run(data, recipe, 3, checkpoint=checkpoints[number])
        assert_equal(whole.state_dict(), resumed.state_dict())
        assert_equal(checkpoints[-1], last[-1])
        for before, again in zip(results[number // steps :], rest, strict=True):
            assert replace(before, seconds=0) == replace(again, seconds=0)


def test_every_image_is_mirrored_in_every_second_epoch() -> None:
    """Half of them in the first, by chance."""
    images = torch.arange(200 * 64).view(200, 1, 8, 8).expand(-1, 3, -1, -1).remainder(256).to(torch.uint8)
    images[:, :, 0, 0], images[:, :, 0, 7] = 0, 255
    data = TrainingData(Images(images, torch.arange(200)), None, torch.zeros(3), torch.ones(3))
    augmentation = AugmentationConfig(alternating_flip=True, crop_padding=0)
    recipe = TrainingConfig(batch_size=50, augmentation=augmentation)

    def mirrored(seed: int, epoch: int) -> Tensor:
        found = torch.zeros(200, dtype=torch.bool)
        for batch, labels, _ in EpochBatches.draw(data, recipe, seed, epoch):
            found[labels] = batch[:, 0, 0, 0] > 0
        return found

    first = mirrored(0, 1)
    assert 70 < first.sum() < 130
    assert [torch.equal(mirrored(0, epoch), first) for epoch in (2, 3, 4)] == [False, True, False]
    assert torch.equal(mirrored(0, 2), ~first)
    assert 70 < (mirrored(1, 1) != first).sum() < 130


def test_finished_training_is_neither_repeated_nor_saved_again(data: TrainingData) -> None:
    whole, _, checkpoints = run(data, EVERYTHING, 2)
    again, results, saved = run(data, EVERYTHING, 2, checkpoint=checkpoints[-1])
    assert_equal(whole.state_dict(), again.state_dict())
    assert (results, saved) == ([], [])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "asgd"])
def test_checkpoint_of_version_0_1_is_gone_on_with(data: TrainingData, optimizer: str) -> None:
    """It was taken after an epoch, numbered the optimizer's parameters, and had the average's names in a module."""
    recipe = EVERYTHING.model_copy(update={"optimizer": optimizer, "lr": 0.01, "dropout": 0.0})
    whole, results, checkpoints = run(data, recipe, 2)
    steps = len(data.train) // recipe.batch_size
    new, named = checkpoints[steps], dict(network(recipe).named_parameters())
    groups = build_optimizer(network(recipe), recipe).param_groups
    shapes = [parameter.shape for group in groups for parameter in group["params"]]
    order = sorted(named, key=lambda name: named[name].ndim <= 1)  # matrices first; the sort is stable
    assert [named[name].shape for name in order] == shapes
    old = {
        "epoch": 1,
        "seed": 7,
        "model": new["model"],
        "optimizer": {"state": {order.index(name): values for name, values in new["optimizer"].items()}},
        "average": {"n_averaged": torch.tensor(steps)}
        | {f"module.{name}": tensor for name, tensor in new["average"].items()},
    }
    resumed, rest, _ = run(data, recipe, 2, checkpoint=old)
    assert_equal(whole.state_dict(), resumed.state_dict())
    assert [result.train_loss for result in rest] == [results[1].train_loss]


@pytest.mark.parametrize(("began", "now"), [("fp32", "bf16"), ("bf16", "fp32")])
def test_resumed_training_computes_as_it_began_whatever_would_be_chosen_now(
    data: TrainingData, began: str, now: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "resnet_core")
    recipe = EVERYTHING.model_copy(update={"precision": began})
    whole, results, checkpoints = run(data, recipe, 3)
    name = {"fp32": "float32", "bf16": "bfloat16"}[began]
    assert checkpoints[0]["arithmetic"]["precision"] == name
    assert caplog.messages[0].startswith(f"training computes in {name}")
    assert f"training.precision={began}" in caplog.messages[0]

    caplog.clear()
    steps = len(data.train) // recipe.batch_size
    other = recipe.model_copy(update={"precision": now})
    resumed, rest, last = run(data, other, 3, checkpoint=checkpoints[steps])
    assert_equal(whole.state_dict(), resumed.state_dict())
    assert_equal(checkpoints[-1], last[-1])
    assert [result.validation_loss for result in rest] == [result.validation_loss for result in results[1:]]
    assert caplog.messages == [f"training computes in {name} (as this training began)"]


def test_resumed_training_takes_the_faster_layers_that_it_began_with(data: TrainingData) -> None:
    _, _, checkpoints = run(data, EVERYTHING, 1)
    for winograd_, groups, products in product((False, True), repeat=3):
        record = Arithmetic(torch.float32, winograd_, groups, products).to_record()
        model = network()
        train(
            model,
            EVERYTHING,
            data,
            2,
            seed=7,
            checkpoint=checkpoints[0] | {"arithmetic": record},
            saver=(saved := AllSaved()),
        )
        kinds, last = {type(module) for module in model.modules()}, saved.checkpoints
        assert (FasterConv2d in kinds, FasterBatchNorm2d in kinds) == (winograd_ or products, groups)
        assert last[-1]["arithmetic"] == record


def test_checkpoint_without_arithmetic_is_resumed_in_what_is_chosen_now(data: TrainingData) -> None:
    """Version 0.1.0 saved such ones."""
    recipe = EVERYTHING.model_copy(update={"precision": "bf16"})
    whole, _, checkpoints = run(data, recipe, 2)
    del checkpoints[0]["arithmetic"]
    resumed, _, _ = run(data, recipe, 2, checkpoint=checkpoints[0])
    assert_equal(whole.state_dict(), resumed.state_dict())


def test_checkpoint_survives_the_disk_without_pickled_objects(data: TrainingData, tmp_path: Any) -> None:
    whole, _, checkpoints = run(data, EVERYTHING, 2)
    torch.save(checkpoints[0], tmp_path / "checkpoint.pt")
    loaded = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    resumed, _, _ = run(data, EVERYTHING, 2, checkpoint=loaded)
    assert_equal(whole.state_dict(), resumed.state_dict())


def test_another_seed_trains_another_network(data: TrainingData) -> None:
    first = train(network(), EVERYTHING, data, 1, seed=1).state_dict()
    second = train(network(), EVERYTHING, data, 1, seed=2).state_dict()
    assert not torch.equal(first["stem.weight"], second["stem.weight"])


def test_checkpoint_of_another_seed_is_refused(data: TrainingData) -> None:
    _, _, checkpoints = run(data, EVERYTHING, 1)
    with pytest.raises(ValueError, match="trained with seed 7, not 8"):
        train(network(), EVERYTHING, data, 2, seed=8, checkpoint=checkpoints[0])


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "asgd", "muon"])
def test_every_optimizer_learns(data: TrainingData, optimizer: str) -> None:
    lr = {"adadelta": 1.0, "sgd": 0.05, "asgd": 0.05, "adagrad": 0.02}.get(optimizer, 0.003)
    recipe = TrainingConfig(
        optimizer=optimizer, lr=lr, batch_size=20, augmentation=AugmentationConfig(crop_padding=0), precision="fp32"
    )
    _, results, _ = run(data, recipe, 6)
    assert results[-1].train_loss < results[0].train_loss * 0.7


def test_plain_step_equals_the_loop_written_by_hand(data: TrainingData) -> None:
    """Without dropout and augmentation, on one epoch, against torch alone."""
    recipe = TrainingConfig(
        lr=0.1, batch_size=25, precision="fp32", augmentation=AugmentationConfig(flip=False, crop_padding=0),
        schedule=ScheduleConfig(name="constant"), weight_decay=0.01,
    )  # fmt: skip
    ours = train(network(recipe), recipe, data, 1, seed=3)
    order = np.random.default_rng([3, 1]).permutation(100)
    model = network(recipe)
    model.to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 0.01}, {"params": rest}], lr=0.1, momentum=0.9, nesterov=True
    )
    for start in range(0, 100, 25):
        index = torch.from_numpy(order[start : start + 25])
        images = normalize(data.train.images[index], data.mean, data.std).contiguous(memory_format=torch.channels_last)
        loss = torch.nn.functional.cross_entropy(model(images), data.train.labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    count_batches(model, 4)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)


PLAIN = {
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "rmsprop": partial(torch.optim.RMSprop, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "asgd": torch.optim.ASGD,
}


def losses_of_fifty_steps(data: TrainingData, model: ResNet, optimizer: str) -> tuple[list[float], list[float]]:
    """Losses of our loop, which has an epoch for each step to tell its loss, and of plain steps: the default memory
    format, torch's own layers, a parameter after the other.
    """
    lr = 0.1 if optimizer == "adadelta" else 0.001
    recipe = TrainingConfig(
        optimizer=optimizer, lr=lr, batch_size=len(data.train), precision="fp32", weight_decay=0.01,
        decay_norm_and_bias=True, augmentation=AugmentationConfig(flip=False, crop_padding=0),
        schedule=ScheduleConfig(name="constant"),
    )  # fmt: skip
    plain_model, ours = plain_network(model), []
    train(model, recipe, data, 50, seed=7, on_epoch=lambda result, _: ours.append(result.train_loss))

    plain = PLAIN[optimizer](plain_model.parameters(), lr=lr, weight_decay=0.01, foreach=False)
    images = normalize(data.train.images, data.mean, data.std)
    losses = []
    for _ in ours:
        loss = torch.nn.functional.cross_entropy(plain_model(images), data.train.labels)
        plain.zero_grad()
        loss.backward()
        plain.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0]
    return ours, losses


def with_faster_layers(model: ModelConfig, arithmetic: Arithmetic) -> ResNet:
    network = build_network(model, PruningConfig(), 2, seed=1)
    use_faster_layers(network, arithmetic)
    return network


@pytest.mark.parametrize("optimizer", PLAIN)
def test_losses_of_fifty_steps_are_those_of_the_plain_step(data: TrainingData, optimizer: str) -> None:
    ours, plain = losses_of_fifty_steps(data, network(TrainingConfig()), optimizer)
    assert ours == pytest.approx(plain, rel=2e-3)


def test_losses_of_fifty_steps_with_fewer_multiplications_are_those_of_the_plain_step(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a network of 8 x 8 and 4 x 4 pixels."""
    model = ModelConfig(depths=(1, 1), width=winograd.LEAST_CHANNELS, strides=(2, 2))
    network = with_faster_layers(model, Arithmetic(torch.float32, winograd=True))
    conv2d = Mock(wraps=winograd.conv2d)
    monkeypatch.setattr(winograd, "conv2d", conv2d)
    ours, plain = losses_of_fifty_steps(data, network, "sgd")
    assert ours == pytest.approx(plain, rel=2e-3)
    assert conv2d.call_count == 50 * 2


def test_losses_of_fifty_steps_with_gradients_as_products_are_those_of_torch(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a network of 8 x 8 and 4 x 4 pixels, the first convolution of each block with a stride."""
    model = ModelConfig(depths=(1, 1), width=weight_gradient.LEAST_CHANNELS, stem_width=64, strides=(4, 2))
    recipe = TrainingConfig(batch_size=len(data.train), precision="bf16", augmentation=AugmentationConfig(flip=False))
    conv2d = Mock(wraps=weight_gradient.conv2d)
    monkeypatch.setattr(weight_gradient, "conv2d", conv2d)

    def losses(arithmetic: Arithmetic) -> list[float]:
        found: list[float] = []
        network = with_faster_layers(model, arithmetic)
        train(network, recipe, data, 50, seed=7, on_epoch=lambda result, _: found.append(result.train_loss))
        return found

    plain = losses(Arithmetic(torch.bfloat16))
    assert losses(Arithmetic(torch.bfloat16, product_gradient=True)) == pytest.approx(plain, rel=2e-2, abs=1e-4)
    assert conv2d.call_count == 50 * 4


def test_losses_of_fifty_steps_with_batch_norm_by_groups_are_those_of_the_plain_step(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All batch norms of a network of 16 x 16 pixels and an odd width."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)  # on one thread torch's own is faster
    model = ModelConfig(depths=(1, 1), widths=(9, 11), strides=(1, 1))
    network = with_faster_layers(model, Arithmetic(torch.float32, grouped_batch_norm=True))
    by_groups = Mock(wraps=batch_norm.batch_norm)
    monkeypatch.setattr(batch_norm, "batch_norm", by_groups)
    ours, plain = losses_of_fifty_steps(data, network, "sgd")
    assert ours == pytest.approx(plain, rel=2e-3)
    assert by_groups.call_count == 50 * 6


def test_average_lags_behind_the_weights(data: TrainingData) -> None:
    recipe = EVERYTHING.model_copy(update={"ema": 0.99})
    averaged, _, checkpoints = run(data, recipe, 1)
    assert not torch.equal(averaged.stem.weight, checkpoints[-1]["model"]["stem.weight"])
    assert_equal(dict(averaged.state_dict()), checkpoints[-1]["average"])
    start = network(recipe).stem.weight
    lag = (averaged.stem.weight - start).norm()
    assert lag < (checkpoints[-1]["model"]["stem.weight"] - start).norm()


def test_average_is_that_of_torch(data: TrainingData) -> None:
    """Fed with the weights after every step."""
    recipe = EVERYTHING.model_copy(update={"ema": 0.9})
    averaged, _, checkpoints = run(data, recipe, 2)
    model = network(recipe)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for checkpoint in checkpoints[1:]:
        model.load_state_dict(checkpoint["model"])
        average.update_parameters(model)
    for name, tensor in average.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(averaged.state_dict()[name], tensor)


@pytest.mark.parametrize("decayed", [False, True])
def test_weight_decay_spares_norm_and_bias_unless_asked(decayed: bool) -> None:
    recipe = TrainingConfig(weight_decay=0.3, decay_norm_and_bias=decayed)
    groups = build_optimizer(network(), recipe).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decay) == len(list(network().parameters()))
    for group in groups:
        for parameter in group["params"]:
            assert decay[id(parameter)] == (0.3 if parameter.ndim > 1 or decayed else 0.0)


def test_clipping_bounds_the_step(data: TrainingData) -> None:
    recipe = TrainingConfig(lr=1.0, momentum=0, nesterov=False, weight_decay=0, clip_norm=0.01, batch_size=100)
    before = network(recipe)
    start = [p.detach().clone() for p in before.parameters()]
    trained = train(before, recipe, data, 1, seed=0)
    moved = torch.stack([(p - s).norm() for p, s in zip(trained.parameters(), start, strict=True)]).norm()
    assert moved.item() == pytest.approx(0.01, rel=0.02)


def test_loss_that_is_no_number_raises_diverged(data: TrainingData) -> None:
    recipe = TrainingConfig(lr=1e30, batch_size=16)
    with pytest.raises(Diverged, match=r"training loss of epoch 1 is (nan|inf)"):
        run(data, recipe, 2)


def test_network_that_only_the_validation_shows_to_be_lost_raises_diverged(data: TrainingData) -> None:
    """The one step of the epoch has taken its loss before."""
    with pytest.raises(Diverged, match=r"^the validation loss of epoch 1 is (nan|inf)$"):
        run(data, TrainingConfig(lr=1e30, batch_size=100), 2)


def test_network_that_nothing_was_measured_of_raises_diverged(data: TrainingData) -> None:
    recipe = TrainingConfig(lr=1e30, batch_size=100, weight_decay=1e30)
    with pytest.raises(Diverged, match=r"^after epoch 1 the network gives numbers that are not finite$"):
        run(replace(data, validation=None), recipe, 1)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "asgd", "muon"])
@pytest.mark.parametrize("change", [{"lr": 1e3}, {"lr": 1e9}, {"lr": LARGEST_FACTOR}, {"weight_decay": LARGEST_FACTOR}])
def test_an_epoch_has_finite_results_or_the_training_diverges(
    data: TrainingData, optimizer: str, change: dict[str, float]
) -> None:
    recipe = TrainingConfig.model_validate({"optimizer": optimizer, "batch_size": 100, **change})
    results: list[EpochResult] = []
    with suppress(Diverged):
        train(network(recipe), recipe, data, 3, seed=7, on_epoch=lambda result, _: results.append(result))
    json.dumps([asdict(result) for result in results], allow_nan=False)


def test_batch_for_pruning_is_of_all_classes_where_images_are_sorted_by_class() -> None:
    labels = torch.arange(10).repeat_interleave(30)
    images = Images(labels[:, None, None, None].expand(-1, 3, 8, 8).to(torch.uint8), labels)
    data = TrainingData(images, None, mean=torch.zeros(3), std=torch.ones(3))
    batch, chosen = balanced_batch(data, 64, seed=1)
    assert sorted(chosen.bincount(minlength=10).tolist()) == [6] * 6 + [7] * 4
    assert torch.equal((batch * 255).round()[:, 0, 0, 0].long(), chosen)
    assert torch.equal(batch, balanced_batch(data, 64, seed=1)[0])
    assert len(balanced_batch(data, 1000, seed=1)[1]) == 300


def test_batch_above_the_training_set_is_refused(data: TrainingData) -> None:
    with pytest.raises(ValueError, match=r"training\.batchSize=101: at most 100"):
        run(data, TrainingConfig(batch_size=101), 1)


def test_validation_images_are_only_normalised(data: TrainingData) -> None:
    trained, results, _ = run(data, EVERYTHING, 1)
    assert data.validation is not None
    logits = predict(trained, data.validation.images, data.mean, data.std, torch.float32)
    reference = trained.eval()(normalize(data.validation.images, data.mean, data.std))
    torch.testing.assert_close(logits, reference, rtol=1e-3, atol=1e-4)
    hits = (logits.argmax(1) == data.validation.labels).float().mean().item()
    assert results[-1].validation_accuracy == pytest.approx(hits, abs=0.051)  # bf16 may turn one image or two


def test_flip_averages_the_probabilities_of_both_views(data: TrainingData) -> None:
    model = network().eval()
    images = data.train.images[:8]
    flipped = predict(model, images, data.mean, data.std, torch.float32, flip=True)
    views = [model(normalize(view, data.mean, data.std)).softmax(1) for view in (images, images.flip(3))]
    torch.testing.assert_close(flipped.exp(), (views[0] + views[1]) / 2)


def test_epoch_shows_every_image_once_but_the_rest_of_the_last_batch(data: TrainingData) -> None:
    recipe = TrainingConfig(batch_size=16, augmentation=AugmentationConfig(flip=False, crop_padding=0))
    batches = [images for images, _, _ in EpochBatches.draw(data, recipe, 0, 1)]
    assert [len(batch) for batch in batches] == [16] * 6
    seen = torch.cat(batches).contiguous()
    assert len(seen.flatten(1).unique(dim=0)) == 96


def test_step_callback_runs_before_every_step(data: TrainingData) -> None:
    calls: list[None] = []
    run(data, TrainingConfig(batch_size=25), 2, on_step=lambda: calls.append(None))
    assert len(calls) == 8
