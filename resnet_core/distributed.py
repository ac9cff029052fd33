"""The ranks of one training: processes that share every batch, each with a device of its own.

They see the images that one process sees at the same global batch and make the same steps, but for two things: dropout
is drawn by each rank, and the statistics of batch norm are each rank's own. SyncBatchNorm would have every layer wait
for the other ranks three times a step, and has no form for CPUs. The running statistics are averaged after each epoch,
before anything is validated or saved: all ranks evaluate and resume the same network.
"""

import time
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

POLL_SECONDS = 0.01
PATIENCE = timedelta(days=1)  # with a rank that waits out an outage; that none hangs is seen to by signs of life


class RankLost(Exception):
    """Another rank of the training has ended before its time."""


class Group:
    """A training's only process; with more of them, `Ranks`."""

    rank, size = 0, 1

    def network(self, model: nn.Module) -> nn.Module:
        """What is stepped in place of the model: each rank begins with rank 0's weights, gradients are averaged."""
        return model

    def share(self, rows: Tensor) -> Tensor:
        """The part of the rows that is this rank's."""
        return rows

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks, in place."""
        return tensor

    def average_buffers(self, *models: nn.Module) -> None:
        """Gives every rank the mean of the running statistics."""

    def first(self, action: Callable[[], bool | None]) -> bool:
        """Whether `action`, called on rank 0 alone, has returned True; the other ranks wait for it."""
        return bool(action())

    def any(self, flag: bool) -> bool:
        """Whether a rank has raised its flag: the same answer on every rank."""
        return flag


class Ranks(Group):
    """As many processes as WORLD_SIZE says, who meet as torchrun's do: RANK, MASTER_ADDR, MASTER_PORT.

    Gradients go by NCCL between GPUs and by gloo between CPUs; what the ranks tell each other always goes by gloo.
    """

    def __init__(self, device: torch.device, beat: Callable[[], None]) -> None:
        """Waits for the other ranks. `beat` is called several times a second wherever one waits for another's I/O."""
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._device, self._beat = device, beat
        talk = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(talk, dist.ProcessGroup)
        self._talk = talk
        self._raised: tuple[dist.Work, Tensor] | None = None

    def network(self, model: nn.Module) -> nn.Module:
        self.first(lambda: None)  # a rank whose files came late is waited for here, not in a collective with a time-out
        devices = [self._device] if self._device.type == "cuda" else None
        network = DistributedDataParallel(model, devices, gradient_as_bucket_view=True)
        network.broadcast_buffers = False  # in each step; the argument's name depends on torch's version
        return network

    def share(self, rows: Tensor) -> Tensor:
        return rows.tensor_split(self.size)[self.rank]

    def sum(self, tensor: Tensor) -> Tensor:
        dist.all_reduce(tensor)
        return tensor

    def average_buffers(self, *models: nn.Module) -> None:
        buffers = [buffer for model in models for buffer in model.buffers() if buffer.is_floating_point()]
        mean = self.sum(torch.cat([buffer.flatten() for buffer in buffers])) / self.size
        for buffer, part in zip(buffers, mean.split([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(part.view_as(buffer))

    def first(self, action: Callable[[], bool | None]) -> bool:
        work, answer = self._ask(self.rank == 0 and bool(action()))
        while not work.is_completed():
            self._beat()
            time.sleep(POLL_SECONDS)
        return _answered(work, answer)

    def any(self, flag: bool) -> bool:
        """The answer is that to the call before, so that no rank waits for another as long as all make steps."""
        before, self._raised = self._raised, self._ask(flag)
        return before is not None and _answered(*before)

    def close(self) -> None:
        """Leaves together with the others. Not after an error: it would wait for those that are stuck."""
        self.first(lambda: None)
        self.leave()

    def leave(self) -> None:
        """Without waiting for the others. Gloo's threads abort a process that ends while they run."""
        self._raised = None
        dist.destroy_process_group()

    def _ask(self, flag: bool) -> tuple[dist.Work, Tensor]:
        answer = torch.tensor(int(flag))
        try:
            work = dist.all_reduce(answer, dist.ReduceOp.MAX, self._talk, async_op=True)
        except RuntimeError as error:
            raise RankLost from error
        assert work is not None
        return work, answer


ALONE = Group()


def own_rows(group: Group, batches: int, batch_size: int) -> NDArray[np.int64]:
    """The rank's rows in an epoch's order: `batch_size / size` of each batch, and before them one of another rank's.

    An image is mixed with the one before it in the whole batch, the first with the last.
    """
    part = batch_size // group.size
    inside = np.arange(part * group.rank - 1, part * (group.rank + 1)) % batch_size
    return (np.arange(batches)[:, None] * batch_size + inside).ravel()


def _answered(work: dist.Work, answer: Tensor) -> bool:
    try:
        work.wait()
    except RuntimeError as error:
        raise RankLost from error
    return bool(answer.item())
