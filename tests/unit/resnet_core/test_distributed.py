"""What ranks do with a batch, without processes: tests/local/test_ranks.py has those."""

import pytest
import torch
from torch import Tensor

from resnet_core.augment import Mixing
from resnet_core.batches import EpochBatches, TrainingData
from resnet_core.config import TrainingConfig
from resnet_core.distributed import ALONE, Group
from tests.support.two_classes import EVERYTHING, two_classes


class Place(Group):
    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def batches_of(recipe: TrainingConfig, data: TrainingData, group: Group) -> list[tuple[Tensor, Tensor, Mixing | None]]:
    return list(EpochBatches.draw(data, recipe, 1, 1, group))


@pytest.mark.parametrize("policy", ["autoaugment", "trivialaugment", "none"])
@pytest.mark.parametrize("size", [2, 4])
def test_parts_of_the_ranks_make_the_batch_of_one_process(size: int, policy: str) -> None:
    """Also where an image is mixed with one that another rank has."""
    augmentation = EVERYTHING.augmentation.model_copy(update={"policy": policy})
    recipe, data = EVERYTHING.model_copy(update={"augmentation": augmentation}), two_classes()
    whole = batches_of(recipe, data, ALONE)
    ranks = [batches_of(recipe, data, Place(rank, size)) for rank in range(size)]
    assert [len(parts) for parts in ranks] == [len(whole)] * size
    for (images, labels, mixing), parts in zip(whole, zip(*ranks, strict=True), strict=True):
        assert torch.equal(torch.cat([part[0] for part in parts]), images)
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
        assert mixing is not None
        assert torch.equal(torch.cat([part[2].labels for part in parts]), mixing.labels)
        assert torch.equal(torch.cat([part[2].weight for part in parts]), mixing.weight)


def test_batch_that_ranks_cannot_share_is_refused() -> None:
    assert TrainingConfig(batch_size=12).rank_batch_size(3) == 4
    with pytest.raises(
        ValueError, match=r"^training\.batchSize=33: a multiple of 2 for 2 ranks, 2 images each or more$"
    ):
        TrainingConfig(batch_size=33).rank_batch_size(2)
    with pytest.raises(ValueError, match="for 2 ranks"):
        TrainingConfig(batch_size=2).rank_batch_size(2)
