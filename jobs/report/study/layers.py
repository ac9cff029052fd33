"""The network before and after pruning, layer by layer."""

from dataclasses import dataclass

from jobs.report.study_results import StudyResults
from resnet_core.count import LayerCount, count_layers
from resnet_core.description import NetworkConfig


@dataclass(frozen=True)
class LayerRow:
    name: str
    before: LayerCount
    after: LayerCount

    @property
    def pruned(self) -> bool:
        return self.before != self.after


def layer_rows(results: StudyResults) -> list[LayerRow]:
    before, after = layer_counts(results)
    return [LayerRow(old.title, old, new) for old, new in zip(before, after, strict=True)]


def layer_counts(results: StudyResults) -> tuple[list[LayerCount], list[LayerCount]]:
    """The layers of the unpruned network, and those of the network that was trained."""
    model = results.model
    own = results.experiment.with_parameters(model.trial.parameters)
    unpruned = NetworkConfig.from_model(own.model, len(model.classes))
    return count_layers(unpruned, model.image_size), count_layers(model.network, model.image_size)
