"""In what a training computes: its precision, and which of the faster ways on CPUs it takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

Record = dict[str, bool | str]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Arithmetic:
    """Trainings with equal values of this round alike on one machine.

    With `winograd`, convolutions of small maps take fewer multiplications (`cpu/winograd.py`). With
    `grouped_batch_norm`, batch norm of odd widths works on groups of pixels (`cpu/batch_norm.py`). With
    `product_gradient`, weight gradients of small maps are matrix products (`cpu/weight_gradient.py`). All hold for the
    layers that their modules say they are meant for. `reason` tells a person how the choice came about.
    """

    precision: torch.dtype
    winograd: bool = False
    grouped_batch_norm: bool = False
    product_gradient: bool = False
    reason: str = field(default="", compare=False)

    def __str__(self) -> str:
        """For the log, with the reason."""
        ways = {
            "Winograd's convolutions": self.winograd,
            "weight gradients as products": self.product_gradient,
            "batch norm by groups of pixels": self.grouped_batch_norm,
        }
        taken = [self.precision_name, *(way for way, used in ways.items() if used)]
        return f"{' with '.join(taken[:2])}{''.join(f' and {way}' for way in taken[2:])} ({self.reason})"

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context in which a network computes its logits."""
        enabled = self.precision != torch.float32
        # Each weight is used once a step, so there is nothing for a cache of rounded weights to save.
        return torch.autocast(device.type, self.precision, enabled=enabled, cache_enabled=False)

    @property
    def precision_name(self) -> str:
        """As torch and documents spell it: float32 or bfloat16."""
        return str(self.precision).removeprefix("torch.")

    def to_record(self) -> Record:
        """Plain values for a checkpoint. The reason is none of them."""
        return {
            "precision": self.precision_name,
            "winograd": self.winograd,
            "grouped_batch_norm": self.grouped_batch_norm,
            "product_gradient": self.product_gradient,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, bool | str]) -> "Arithmetic":
        return cls(
            precision=PRECISIONS[str(record["precision"])],
            winograd=bool(record["winograd"]),
            grouped_batch_norm=bool(record["grouped_batch_norm"]),
            product_gradient=bool(record["product_gradient"]),
            reason="as this training began",
        )
