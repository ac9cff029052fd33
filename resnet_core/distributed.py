"""The ranks of one training: processes that share every batch, each with a device of its own.

Together they see the images that a single process would see with the same batches, and make the same steps, with two
exceptions: each rank draws its own dropout, and each has its own batch-norm statistics. SyncBatchNorm would make every
layer wait for the other ranks three times a step, and does not exist for CPUs. The running statistics are averaged
after each epoch, before anything is validated or saved, so that all ranks evaluate and resume the same network.
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
# A rank may have to wait long while another one waits for a service to come back. A rank that hangs is noticed
# elsewhere: it no longer calls `beat`.
PATIENCE = timedelta(days=1)


class RankLost(Exception):
    """Another rank has ended before the training did."""


class Group:
    """The processes of a training, here a single one; `Ranks` are several."""

    rank, size = 0, 1

    def network(self, model: nn.Module) -> nn.Module:
        """The network to call in place of the model: it begins with rank 0's weights and averages the gradients."""
        return model

    def share(self, rows: Tensor) -> Tensor:
        """The part of the rows that this rank works on."""
        return rows

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks, in place."""
        return tensor

    def average_buffers(self, *models: nn.Module) -> None:
        """Sets the running statistics of every rank to their mean over the ranks."""

    def first(self, action: Callable[[], bool | None]) -> bool:
        """Calls `action` on rank 0 alone while the others wait, and returns on every rank whether it returned True."""
        return bool(action())

    def any(self, flag: bool) -> bool:
        """Whether any rank has raised its flag. All ranks get the same answer."""
        return flag


class Ranks(Group):
    """Several processes. Gradients go by NCCL between GPUs and by gloo between CPUs, all other messages by gloo."""

    def __init__(self, device: torch.device, beat: Callable[[], None], *, rank: int, size: int, address: str) -> None:
        """Waits for the other ranks.

        Args:
            device: of this rank alone.
            beat: called several times a second while this rank waits for the I/O of another.
            rank: of this process, from 0.
            size: how many ranks there are.
            address: `host:port` at which rank 0 listens for the others.

        """
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, f"tcp://{address}", rank=rank, world_size=size)
        self.rank, self.size = rank, size
        self._device, self._beat = device, beat
        talk = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(talk, dist.ProcessGroup)
        self._talk = talk
        self._raised: tuple[dist.Work, Tensor] | None = None

    def network(self, model: nn.Module) -> nn.Module:
        self.first(lambda: None)  # ranks that took longer to load are waited for here: the next step has a time-out
        devices = [self._device] if self._device.type == "cuda" else None
        network = DistributedDataParallel(model, devices, gradient_as_bucket_view=True)
        network.broadcast_buffers = False  # set afterwards, since the argument's name differs between versions of torch
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
        """Answers the question of the call before this one, so that the ranks need not wait for each other."""
        before, self._raised = self._raised, self._ask(flag)
        return before is not None and _answered(*before)

    def close(self) -> None:
        """Waits for the other ranks and leaves with them. Not to be called after an error: some may never come."""
        self.first(lambda: None)
        self.leave()

    def leave(self) -> None:
        """Leaves without waiting for the others. A process that ends without leaving is aborted by gloo's threads."""
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
    """The rank's rows in the order of an epoch: its part of each batch, and before each part one row more.

    Mixing needs the additional row, which belongs to another rank: an image is mixed with the one before it in the
    whole batch, and the first one with the last. A part has `batch_size / size` rows.
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
