"""The progress of a run, for `local`, `pipeline` and `status --watch`: live bars on a terminal, log lines elsewhere."""

import logging
import time
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from jobs.artifacts import Artifacts
from jobs.artifacts.dataset_record import StoredDataset
from jobs.artifacts.documents import MetricsDocument, read_document
from jobs.artifacts.final_training import read_epochs
from jobs.artifacts.keys import DATASET, METRICS, REPORT
from jobs.experiment.experiment import FinalTrainConfig
from jobs.queue.status import SweepStatus, count_settled
from jobs.runtime import logs
from jobs.runtime.terminal import can_redraw
from resnet_core.shown_accuracy import percent

log = logging.getLogger(__name__)

LINE_SECONDS = 30


class Display:
    """Shows a sweep and the final training as they stand in the database and in the results."""

    def __init__(self, log_format: Literal["text", "json"], *, live: bool = True) -> None:
        console = Console(stderr=True)
        self.live = live and can_redraw(console) and log_format == "text"
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self.live,
        )
        if self.live:
            handler = RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S")
            handler.setFormatter(logs.TextFormatter("%(message)s"))
            logging.basicConfig(level=logging.INFO, handlers=[handler])
        else:
            logs.configure(log_format)
        self._tasks: dict[str, TaskID] = {}
        self._announced: set[tuple[str, int]] = set()  # what it is, and its slot
        self._last_epoch: dict[int, int] = {}
        self._last_line = time.monotonic()
        self._dataset: StoredDataset | None = None  # read when a final training is shown

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def sweep(self, status: SweepStatus, epochs: int) -> None:
        """Writes a line for each trial or confirmation settled since the last call; shows how far the others are."""
        for trial in status.all:
            if trial.state.settled and (trial.work, trial.slot) not in self._announced:
                self._announced.add((trial.work, trial.slot))
                with logs.context(trial=trial.number):
                    log.info("%s", status.trial_line(trial))
        best = "" if status.best is None else f"best {status.percent(status.best.accuracy)}"
        self._bar("sweep", count_settled(status.trials), len(status.trials), best)
        if status.confirmations:
            winner = "" if status.winner is None else f"confirmed {status.percent(status.winner.mean)}"
            self._bar("confirmations", count_settled(status.confirmations), len(status.confirmations), winner)
        running = {f"  {one.name}": one for one in status.running if one.number is not None}
        for name in [name for name in self._tasks if name.startswith("  ") and name not in running]:
            self._progress.remove_task(self._tasks.pop(name))
        for name, trial in running.items():
            validation = "" if trial.accuracy is None else f"validation {status.percent(trial.accuracy)}"
            self._bar(name, trial.epoch, epochs, validation)
        if not self.live and time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            log.info("%s", status.line())

    def final_training(self, study: Artifacts, config: FinalTrainConfig) -> None:
        """Shows how far the training with each seed is."""
        for seed in range(config.seeds):
            epochs = read_epochs(study, seed)
            if not epochs:
                continue
            last, name = epochs[-1], "final training" if config.seeds == 1 else f"final training, seed {seed}"
            accuracy = ""
            if last.validation_accuracy is not None:
                accuracy = percent(last.validation_accuracy, self._validation_images(study))
            self._bar(name, last.epoch, config.epochs, accuracy and f"validation {accuracy}")
            if not self.live and last.epoch > self._last_epoch.get(seed, 0):
                self._last_epoch[seed] = last.epoch
                validation = accuracy and f", validation accuracy {accuracy}"
                with logs.context(epoch=last.epoch):
                    log.info("%s: epoch %d/%d%s", name, last.epoch, config.epochs, validation)

    def result(self, study: Artifacts) -> str:
        """Writes the test accuracy, and where the report is; returns both."""
        metrics = read_document(study, METRICS, MetricsDocument)
        images, seeds = metrics.test.images, len(metrics.seeds)
        accuracy = percent(metrics.accuracy.mean, images)
        mean = "" if seeds == 1 else f" (mean of {seeds} seeds)"
        lines = (
            f"test accuracy {accuracy}{mean} on {images} images of {metrics.dataset}, {metrics.parameters} parameters",
            f"report: {study.under(REPORT).location}",
        )
        for line in lines:
            log.info("%s", line)
        return "; ".join(lines)

    def _validation_images(self, study: Artifacts) -> int | None:
        if self._dataset is None:
            self._dataset = read_document(study, DATASET, StoredDataset)
        return self._dataset.validation_images

    def _bar(self, name: str, done: int, total: int, note: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, note=note)
        self._progress.update(self._tasks[name], completed=done, note=note)
