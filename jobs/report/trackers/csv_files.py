"""The trainings of a study as two tables: a row a training, and a row an epoch."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jobs.artifacts import FolderArtifacts
from jobs.report.pages.figure_files import write_csv
from jobs.report.trackers.runs import TrackedRun

Row = Mapping[str, object]
RUNS, EPOCHS = "runs.csv", "epochs.csv"


def write_runs(runs: Iterable[TrackedRun], folder: Path) -> int:
    """Writes both files into the folder, anew, and returns how many trainings they have."""
    trainings: list[Row] = []
    epochs: list[Row] = []
    for run in runs:
        named = {f"parameter {name}": value for name, value in run.parameters.items()}
        own = {"run": run.name, "kind": run.kind, "state": run.state, "message": run.message}
        trainings.append({**own, **run.metrics, **named})
        epochs += [{"run": run.name, "epoch": epoch, **metrics} for epoch, metrics in sorted(run.epochs.items())]
    _write(folder, RUNS, trainings)
    _write(folder, EPOCHS, epochs)
    return len(trainings)


def _write(folder: Path, name: str, rows: Sequence[Row]) -> None:
    header = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(key)) for key in header] for row in rows]
    write_csv(FolderArtifacts(folder), name, header, cells)


def _cell(value: object) -> int | float | str | None:
    return value if value is None or isinstance(value, int | float) else str(value)
