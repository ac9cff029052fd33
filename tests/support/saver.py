"""A saver of checkpoints that keeps them in memory."""

from resnet_core.training_state import Checkpoint


class AllSaved:
    """Keeps a checkpoint of before every step, and the one at the end."""

    def __init__(self) -> None:
        self.checkpoints: list[Checkpoint] = []

    def due(self) -> bool:
        return True

    def save(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.append(checkpoint)
