"""The trainings of a study as TensorBoard reads them: a folder of events each."""

import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from jobs.report.trackers.runs import TrackedRun
from jobs.runtime.errors import ConfigurationError


def write_runs(runs: Iterable[TrackedRun], folder: Path) -> int:
    """Writes a folder for each training that has none there yet, and returns how many those are.

    Raises:
        ConfigurationError: TensorBoard is not installed.

    """
    try:
        from torch.utils.tensorboard.writer import SummaryWriter  # noqa: PLC0415 - an extra, and it imports torch
    except ImportError:
        raise ConfigurationError("--to=tensorboard: needs pip install 'resnet-sweep[tensorboard]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for run in runs:
        own = folder / run.name.replace(" ", "-")
        if own.exists():
            continue
        partial = folder / f".{own.name}-{secrets.token_hex(4)}"
        try:
            with SummaryWriter(str(partial)) as writer:
                for epoch, metrics in sorted(run.epochs.items()):
                    for name, value in metrics.items():
                        writer.add_scalar(name, value, epoch)
                hparams = {name: _scalar(value) for name, value in run.parameters.items()}
                writer.add_hparams(
                    hparams | {"kind": run.kind, "state": run.state},
                    {f"hparam/{name}": value for name, value in run.metrics.items()},  # others than those by epoch
                    run_name=".",
                    global_step=max(run.epochs, default=0),
                )
            partial.rename(own)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        written += 1
    return written


def _scalar(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
