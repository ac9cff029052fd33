"""One of two ranks that train on the CPU, by `python -m tests.support.two_ranks FOLDER RANK ADDRESS`.

It leaves what came of it in the folder.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet_core.arithmetic import Arithmetic
from resnet_core.arithmetic_choice import choose_arithmetic
from resnet_core.build import build_network
from resnet_core.config import AugmentationConfig, PruningConfig, TrainingConfig
from resnet_core.cpu.timing import Layer, Timed
from resnet_core.description import NetworkConfig
from resnet_core.distributed import ALONE, Group, Ranks
from resnet_core.model import BatchNorm2d
from resnet_core.train import Diverged, train
from tests.support.saver import AllSaved
from tests.support.two_classes import MODEL, copied, two_classes

STEPS = 50
FIXED = TrainingConfig(
    lr=0.01, batch_size=20, label_smoothing=0.1, clip_norm=1.0, ema=0.9, precision="fp32",
    augmentation=AugmentationConfig(policy="trivialaugment", mixup=0.2, cutmix=1.0),
)  # fmt: skip
FREE = FIXED.model_copy(update={"lr": 0.05, "dropout": 0.2})


class FixedNorm(BatchNorm2d):
    """Normalises as in evaluation, so that what an image gives does not depend on the others of its batch."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.running_mean is not None
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


def trained(recipe: TrainingConfig, epochs: int, group: Group = ALONE, *, fixed: bool = False, **options: Any) -> Any:
    """Figures of all epochs, their checkpoints, and the weights at the end."""
    seed = 1 + group.rank  # rank 0's weights are to be taken by all
    model = build_network(MODEL, PruningConfig(), 2, dropout=recipe.dropout, seed=seed)
    data = two_classes(validation=41)  # which two ranks cannot halve
    if fixed:
        for module in model.modules():
            if isinstance(module, BatchNorm2d):
                module.__class__ = FixedNorm
    results: list[Any] = []
    saver = AllSaved()

    def on_epoch(result: Any, _evaluated: Any) -> None:
        results.append((result.train_loss, result.train_accuracy, result.validation_loss, result.validation_accuracy))

    network = train(model, recipe, data, epochs, seed=7, group=group, saver=saver, on_epoch=on_epoch, **options)
    return {"results": results, "checkpoints": saver.checkpoints, "weights": copied(dict(network.state_dict()))}


def joined(group: Group) -> Any:
    """What one process has found in two epochs, and what the ranks find who go on in the middle of the first."""
    alone = trained(FIXED, 2, fixed=True)
    half = alone["checkpoints"][2]
    assert half["step"] == 2
    return {"alone": alone["results"], "ranks": trained(FIXED, 2, group, fixed=True, checkpoint=half)["results"]}


def asked_at_step(group: Group, rank: int, step: int) -> int:
    """How many steps each rank makes when one of them is asked to end before a step."""
    steps = iter(range(1000))
    made = -1

    def on_step() -> None:
        nonlocal made
        made = next(steps)
        if group.any(group.rank == rank and made == step):
            raise InterruptedError

    try:
        trained(FREE, 3, group, on_step=on_step)
    except InterruptedError:
        return made
    raise AssertionError


def diverged(group: Group) -> str:
    try:
        trained(FREE.model_copy(update={"lr": 1e30}), 2, group)
    except Diverged as error:
        return str(error)
    raise AssertionError


def chosen(group: Group) -> dict[str, bool | str]:
    """What the ranks choose where each of them alone would choose otherwise; only rank 0 is to time anything."""

    def clock(layer: Layer, _: Arithmetic, after: Arithmetic) -> Timed:
        assert group.rank == 0
        return Timed(layer, 2.0 if after.precision == torch.bfloat16 else 0.5, 1.0)

    network = NetworkConfig.from_model(MODEL, 2)
    return choose_arithmetic("auto", network, 16, 10, torch.device("cpu"), group=group, clock=clock).to_record()


def main(folder: Path, rank: int, address: str) -> None:
    torch.set_num_threads(1)
    beats: list[None] = []
    group = Ranks(torch.device("cpu"), lambda: beats.append(None), rank=rank, size=2, address=address)
    cases: dict[str, Callable[[], Any]] = {
        "fixed": lambda: trained(FIXED, STEPS // 5, group, fixed=True),
        "free": lambda: trained(FREE, 3, group),
        "joined": lambda: joined(group),
        "chosen": lambda: chosen(group),
        "asked": lambda: asked_at_step(group, 1, 7),
        "diverged": lambda: diverged(group),
    }
    found = {name: case() for name, case in cases.items()}
    first = folder / "first.pt"
    group.first(lambda: torch.save(found["free"]["checkpoints"][1], first))
    checkpoint = torch.load(first, weights_only=True)
    found["resumed"] = trained(FREE, 3, group, checkpoint=checkpoint)
    torch.save(found, folder / f"rank-{rank}.pt")
    group.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
