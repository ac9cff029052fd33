"""All that `model.json` holds."""

from jobs.artifacts.documents import TrainingRecord
from resnet_core.load import ModelDescription


class ModelDocument(TrainingRecord, ModelDescription):
    """What is needed to build a network again and to feed it, and how it came about."""
