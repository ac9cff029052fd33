"""Replayed steps, with functions in place of CUDA's graphs: the rest is the same on every device."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from resnet_core.arithmetic import Arithmetic
from resnet_core.batches import EpochBatches, TrainingData
from resnet_core.build import build_network
from resnet_core.config import PruningConfig, TrainingConfig
from resnet_core.graphed_steps import WARM_UP, Body, GraphedSteps, PlainSteps
from resnet_core.step import Step
from resnet_core.training_state import Checkpoint, TrainingState
from tests.support.two_classes import EVERYTHING, MODEL, two_classes

MOST_BATCHES = 5  # of a chunk
RECIPE = EVERYTHING.model_copy(update={"optimizer": "adamw", "lr": 0.01, "precision": "fp32"})


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return two_classes()


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an epoch has several, of which the last is shorter."""
    monkeypatch.setattr("resnet_core.batches.CHUNK_BYTES", {"cpu": MOST_BATCHES * 16 * 3 * 16 * 16 * 4})


def run(
    data: TrainingData,
    make: Callable[[TrainingState, Step], GraphedSteps | PlainSteps],
    recipe: TrainingConfig = RECIPE,
    lr: float = 2.0**-7,
) -> Checkpoint:
    """The state after two epochs of steps with changing learning rates."""
    model = build_network(MODEL, PruningConfig(), 2, dropout=recipe.dropout, seed=1)
    model.to(memory_format=torch.channels_last)
    state = TrainingState(model.train(), recipe)
    steps = make(state, Step(state, model, recipe, Arithmetic(torch.float32)))
    number = 0
    for epoch in (1, 2):
        for _, chunk in EpochBatches.draw(data, recipe, 0, epoch).chunks():
            steps.load(chunk, [lr * 2.0 ** -((number + index) % 4) for index in range(len(chunk))], 0)
            for index in range(len(chunk)):
                seed = number
                steps.run(index, first=number == 0, seed=lambda seed=seed: torch.manual_seed(seed))
                number += 1
    return state.checkpoint(0, 0.0)


def graphed(capture: Callable[[Body], Body]) -> Callable[[TrainingState, Step], GraphedSteps]:
    return lambda state, step: GraphedSteps(state, step, MOST_BATCHES, capture, aside=lambda body: body())


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, torch.Tensor):
        yield value


def assert_equal(left: Checkpoint, right: Checkpoint) -> None:
    for mine, theirs in zip(tensors(left), tensors(right), strict=True):
        assert torch.equal(mine, theirs)


def test_replayed_steps_are_the_plain_ones(data: TrainingData, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    replayed = 0

    def capture(body: Body) -> Body:
        def replay() -> None:
            nonlocal replayed
            replayed += 1
            body()

        return replay

    assert_equal(run(data, graphed(capture)), run(data, lambda _, step: PlainSteps(step)))
    steps = 2 * (len(data.train) // RECIPE.batch_size)
    assert replayed == steps - WARM_UP
    assert [record.message for record in caplog.records] == [
        "the training steps are replayed as a CUDA graph, which does what a plain step does"
    ]


def test_shorter_chunk_may_come_first(data: TrainingData) -> None:
    """As in a training that is resumed at the end of an epoch."""
    drawn = list(EpochBatches.draw(data, RECIPE, 0, 1).chunks())
    chunks = [chunk for _, chunk in [drawn[-1], *drawn]]
    assert len(chunks[0]) < len(chunks[1]) == MOST_BATCHES

    def trained(make: Callable[[TrainingState, Step], GraphedSteps | PlainSteps]) -> Checkpoint:
        model = build_network(MODEL, PruningConfig(), 2, seed=1).to(memory_format=torch.channels_last)
        state = TrainingState(model.train(), RECIPE)
        steps = make(state, Step(state, model, RECIPE, Arithmetic(torch.float32)))
        for chunk in chunks:
            steps.load(chunk, [2.0**-7] * len(chunk), 0)
            for index in range(len(chunk)):
                steps.run(index, first=False, seed=lambda: None)
        return state.checkpoint(0, 0.0)

    assert_equal(trained(graphed(lambda body: body)), trained(lambda _, step: PlainSteps(step)))


def refuse(_steps: GraphedSteps, _body: Body) -> Body:
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nCUDA kernel errors might be")


def do_nothing(_steps: GraphedSteps, _body: Body) -> Body:
    return lambda: None


def use_the_batch_of_the_first_step(steps: GraphedSteps, body: Body) -> Body:
    def replay() -> None:
        position = steps._position.clone()
        steps._position.zero_()
        body()
        steps._position.copy_(position + 1)

    return replay


def use_the_rate_of_the_first_step(steps: GraphedSteps, body: Body) -> Body:
    def replay() -> None:
        rates = steps._rates.clone()
        steps._rates.fill_(rates[0])
        body()
        steps._rates.copy_(rates)

    return replay


def update_nothing(steps: GraphedSteps, body: Body) -> Body:
    """All else is computed, losses and running statistics too."""

    def replay() -> None:
        weights = [weight.clone() for weight in steps._state.network.parameters()]
        body()
        with torch.no_grad():
            for weight, before in zip(steps._state.network.parameters(), weights, strict=True):
                weight.copy_(before)

    return replay


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (refuse, "CUDA error: operation not permitted when stream is capturing"),
        (do_nothing, "a replayed step differs from a plain one by 100% in "),
        (use_the_batch_of_the_first_step, "a replayed step differs from a plain one by "),
        (use_the_rate_of_the_first_step, "a replayed step differs from a plain one by "),
        (update_nothing, "a replayed step differs from a plain one by 100% in the weights"),
    ],
)
def test_steps_stay_plain_where_a_replayed_one_is_wrong(
    data: TrainingData,
    caplog: pytest.LogCaptureFixture,
    capture: Callable[[GraphedSteps, Body], Body],
    reason: str,
    optimizer: str,
) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": optimizer})
    made: list[GraphedSteps] = []

    def wrong(state: TrainingState, step: Step) -> GraphedSteps:
        made.append(
            GraphedSteps(state, step, MOST_BATCHES, lambda body: capture(made[0], body), aside=lambda body: body())
        )
        return made[0]

    assert_equal(run(data, wrong, recipe), run(data, lambda _, step: PlainSteps(step), recipe))
    (record,) = caplog.records
    said = f"the training steps are not replayed as a CUDA graph, which is slower: {reason}"
    assert record.message.startswith(said), record.message


def test_numbers_that_are_not_finite_are_told(data: TrainingData, caplog: pytest.LogCaptureFixture) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": "sgd", "clip_norm": None})
    run(data, graphed(lambda body: body), recipe, lr=1e30)
    assert "the plain step leaves numbers in " in caplog.text
    assert " that are not finite" in caplog.text
