"""The network before and after pruning, layer by layer."""

from dataclasses import dataclass

from jobs.report.study_results import Findings
from resnet_core.count import LayerCount, count_layers
from resnet_core.model import NetworkConfig


@dataclass(frozen=True)
class LayerRow:
    name: str
    before: LayerCount
    after: LayerCount

    @property
    def pruned(self) -> bool:
        return self.before != self.after


def layer_rows(findings: Findings) -> list[LayerRow]:
    before, after = layer_counts(findings)
    return [LayerRow(old.name, old, new) for old, new in zip(before, after, strict=True)]


def layer_counts(findings: Findings) -> tuple[list[LayerCount], list[LayerCount]]:
    """The full network and the one that was trained."""
    model = findings.model
    unpruned = NetworkConfig.from_model(findings.experiment.model, len(model["classes"]))
    trained = NetworkConfig.model_validate(model["network"])
    return count_layers(unpruned, model["imageSize"]), count_layers(trained, model["imageSize"])
