"""Training steps that a CUDA graph replays.

A step of a ResNet-18 launches some 250 operations on the GPU, each of which costs the host several microseconds: for a
small network the GPU waits for the host. A graph holds the operations of one step, and the host only says when. So that
nothing else comes from the host, a whole chunk of batches and its learning rates lie on the device, where a counter
picks the batch.
"""

import logging
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from resnet_core.augment import Mixing
from resnet_core.batches import Chunk
from resnet_core.step import Step
from resnet_core.training_state import TrainingState

log = logging.getLogger(__name__)

WARM_UP = 3  # steps before the capture; they make what libraries and optimizer make when they are first used
# How far a replayed step may be from the plain one, in relation to what the step changes, in each of the things that it
# changes. Some kernels add up in an order that differs from call to call; a step with another batch or learning rate is
# off by more than half in the weights.
TOLERANCE = 0.1

Body = Callable[[], None]
Tensors = dict[str, list[Tensor]]


class PlainSteps:
    """Makes the steps one after the other."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def load(self, chunk: Chunk, rates: Sequence[float], _position: int) -> None:
        """Takes the batches for the steps that follow, and the learning rate of each."""
        self._chunk, self._rates = chunk, rates

    def run(self, index: int, *, first: bool, seed: Callable[[], None]) -> None:
        """Makes the step with batch `index` of the chunk. `seed` sets the random numbers that the step draws."""
        seed()
        self._step.set_lr(self._rates[index])
        self._step(*self._chunk.batch(index), first=first)
        if index == len(self._rates) - 1:
            del self._chunk  # before the next one is made

    def close(self) -> None:
        """Frees what the steps have held."""


class GraphedSteps:
    """Makes a few plain steps, captures one as a graph, proves that it does what a plain step does, and replays it.

    Where the capture fails or the proof does, a line in the log says why, and all steps stay plain.
    """

    def __init__(
        self,
        state: TrainingState,
        step: Step,
        most_batches: int,
        capture: Callable[[Body], Body] | None = None,
        aside: Callable[[Body], None] | None = None,
    ) -> None:
        """`capture` and `aside` are other ways to record a step and to run it aside than those of CUDA.

        A chunk has `most_batches` batches at most.
        """
        self._state, self._step = state, step
        self._capture, self._aside = capture or capture_graph, aside or side_stream()
        self._position = torch.zeros(1, dtype=torch.int64, device=state.sums.device)
        self._rates = torch.zeros(most_batches, device=state.sums.device)
        self._most_batches, self._made = most_batches, 0
        self._chunk: Chunk | None = None
        self._replay: Body | None = None
        self.refusal = ""  # why no step is replayed, once that is known

    def load(self, chunk: Chunk, rates: Sequence[float], position: int) -> None:
        """Copies the chunk to where the graph reads it; the next step is with its batch `position`."""
        given = torch.tensor(rates, dtype=torch.float32)
        if self._position.is_cuda:
            given = given.pin_memory()
        self._rates[: len(given)].copy_(given, non_blocking=True)
        if self._chunk is None:
            self._chunk = chunk if len(chunk) == self._most_batches else _room_for(self._most_batches, chunk)
        for kept, new in zip(_parts(self._chunk), _parts(chunk), strict=True):
            if kept is not new:
                kept[: len(new)].copy_(new)
        self._position.fill_(position)

    def run(self, index: int, *, first: bool, seed: Callable[[], None]) -> None:
        """As in `PlainSteps`; steps are made in the order of the batches."""
        del index  # the counter on the device has it
        self._made += 1
        if self._made == WARM_UP + 1:
            self._begin(seed)
            return
        seed()
        if self._replay is not None:
            self._replay()
        elif self.refusal:
            self._body()
        else:
            self._aside(lambda: self._body(first=first))

    def close(self) -> None:
        """Frees the graph and its memory."""
        self._replay, self._chunk = None, None
        self._state.optimizer.zero_grad(set_to_none=True)  # gradients lie in the graph's memory
        if self._position.is_cuda:
            torch.cuda.empty_cache()

    def _body(self, *, first: bool = False) -> None:
        assert self._chunk is not None
        batch = [None if part is None else part.index_select(0, self._position)[0] for part in _all(self._chunk)]
        images, labels, other_labels, weight = batch
        assert images is not None
        assert labels is not None
        self._step.set_lr(self._rates.index_select(0, self._position)[0])
        mixing = None if other_labels is None or weight is None else Mixing(other_labels, weight)
        self._step(images.permute(0, 3, 1, 2), labels, mixing, first=first)
        self._position += 1

    def _begin(self, seed: Callable[[], None]) -> None:
        """Makes one step plain and, if the capture succeeds, once more from the graph, from the same state."""
        before = self._copied()
        seed()
        self._aside(self._body)
        plain = self._copied()
        try:
            self._state.optimizer.zero_grad(set_to_none=True)
            self._fill(before)
            replay = self._capture(self._body)
            self._fill(before)  # which a capture does not change
            seed()
            replay()
            reason = _difference(before, plain, self._copied())
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
        if reason:
            self.refusal = reason
            self._fill(plain)
            log.warning("the training steps are not replayed as a CUDA graph, which is slower: %s", reason)
        else:
            self._replay = replay
            log.info("the training steps are replayed as a CUDA graph, which does what a plain step does")

    def _tensors(self) -> Tensors:
        """All that a step changes."""
        state = self._state
        parts: Tensors = {
            "the weights": list(state.network.parameters()),
            "the running statistics": list(state.network.buffers()),
            "the averaged weights": list(state.average.network.state_dict().values()) if state.average else [],
            "the sums": [state.sums],
            "the position": [self._position],
        }
        for values in state.optimizer.state.values():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    parts.setdefault(f"the optimizer's {key}", []).append(value)
        return parts

    def _copied(self) -> Tensors:
        return {name: [tensor.detach().clone() for tensor in part] for name, part in self._tensors().items()}

    @torch.no_grad()
    def _fill(self, values: Tensors) -> None:
        for name, part in self._tensors().items():
            for tensor, value in zip(part, values[name], strict=True):
                tensor.copy_(value)


def capture_graph(body: Body) -> Body:
    """Records what `body` launches on the current CUDA device, and returns the function that launches it again."""
    graph = torch.cuda.CUDAGraph()
    # Other threads of this process may allocate memory meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        body()
    return graph.replay


def side_stream() -> Callable[[Body], None]:
    """What runs a function on a stream of its own, always the same one, as torch asks for before a capture."""
    stream = torch.cuda.Stream()

    def run_aside(body: Body) -> None:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            body()
        torch.cuda.current_stream().wait_stream(stream)

    return run_aside


def _room_for(batches: int, chunk: Chunk) -> Chunk:
    """Memory for a chunk of so many batches like those of `chunk`."""

    def room(part: Tensor) -> Tensor:
        return part.new_empty(batches, *part.shape[1:])

    if chunk.other_labels is None or chunk.weight is None:
        return Chunk(room(chunk.images), room(chunk.labels), None, None)
    return Chunk(*map(room, _parts(chunk)))


def _all(chunk: Chunk) -> list[Tensor | None]:
    return [chunk.images, chunk.labels, chunk.other_labels, chunk.weight]


def _parts(chunk: Chunk) -> list[Tensor]:
    return [part for part in _all(chunk) if part is not None]


def _difference(before: Tensors, plain: Tensors, replayed: Tensors) -> str:
    """Says in what a replayed step differs most from a plain one, made from the same state; empty if in nothing."""
    worst, where = 0.0, ""
    for name, part in plain.items():
        change, distance = _distance(part, before[name]), _distance(replayed[name], part)
        if not math.isfinite(change):
            return f"the plain step leaves numbers in {name} that are not finite"
        share = distance / change if change else math.inf if distance else 0.0
        if share > worst or math.isnan(share):
            worst, where = share, name
    return "" if worst <= TOLERANCE else f"a replayed step differs from a plain one by {worst:.0%} in {where}"


def _distance(left: list[Tensor], right: list[Tensor]) -> float:
    """The Euclidean distance between all numbers of both."""
    squares = [(a.double() - b.double()).square().sum() for a, b in zip(left, right, strict=True)]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
