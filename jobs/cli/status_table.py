"""What `resnet-sweep status` shows: a table for people, JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic.alias_generators import to_camel
from rich.console import Group
from rich.table import Table
from rich.text import Text

from jobs.experiment.experiment import Experiment
from jobs.queue.status import Confirmed, SweepStatus, TrialStatus, count_settled, duration, parameters_line
from jobs.queue.tables import SlotState
from resnet_core.shown_text import visible_lines


def status_table(experiment: Experiment, status: SweepStatus) -> Group:
    """The sweep in one line, then tables of running trials, of those in trouble, and of the best."""
    parts: list[Any] = [Text.assemble((experiment.study_name, "bold"), f": {status.line()}")]
    rows: list[tuple[str, ...]]
    if status.running:
        rows = [
            (
                _name(trial),
                f"{trial.epoch}/{experiment.sweep.epochs}",
                status.percent(trial.accuracy),
                duration(trial.seconds or 0.0),
                _lease(trial),
                trial.owner or "–",
            )
            for trial in status.running
        ]
        parts.append(_table("running", ("trial", "epoch", "accuracy", "held", "lease left", "owner"), rows))
    troubled = [trial for trial in status.all if _is_troubled(trial)]
    if troubled:
        rows = [
            (_name(trial), str(trial.state), str(trial.attempts), str(trial.crashes), trial.message or "–")
            for trial in troubled
        ]
        parts.append(_table("in trouble", ("trial", "state", "attempts", "crashes", "reason"), rows))
    complete = [trial for trial in status.trials if trial.state is SlotState.COMPLETE]
    if complete:
        rows = [
            (_name(trial), status.percent(trial.accuracy), duration(trial.seconds or 0.0), parameters_line(trial))
            for trial in sorted(complete, key=lambda trial: -(trial.accuracy or 0.0))[:5]
        ]
        parts.append(_table("best", ("trial", "accuracy", "took", "parameters"), rows))
    if status.confirmed:
        rows = [
            (
                f"{one.rank}",
                f"{one.trial.number}",
                status.percent(one.trial.accuracy),
                status.percent(one.mean),
                ", ".join(status.percent(accuracy) for accuracy in one.accuracies),
            )
            for one in status.confirmed
        ]
        parts.append(_table("confirmed", ("rank", "trial", "accuracy", "mean", "confirmations"), rows))
    return Group(*parts)


def status_json(experiment: Experiment, status: SweepStatus) -> dict[str, Any]:
    return {
        "study": experiment.study_name,
        "trials": len(status.trials),
        "validationImages": status.validation_images,
        "settled": count_settled(status.trials),
        "states": {str(state): status.count(state) for state in SlotState if status.count(state)},
        "best": _json(status.best) if status.best else None,
        "secondsLeft": status.seconds_left,
        "hours": status.usage.hours,
        "gpuHours": status.usage.gpu_hours,
        "slots": [_json(trial) for trial in status.trials],
        "confirmations": [_json(confirmation) for confirmation in status.confirmations],
        "confirmed": [_confirmed_json(one) for one in status.confirmed],
        "winner": _confirmed_json(status.winner) if status.winner else None,
    }


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(Text(visible_lines(cell)) for cell in row))  # as text: rich would take [/x] for its own markup
    return table


def _json(trial: TrialStatus) -> dict[str, Any]:
    hidden = ("trial_id", "fence", "work")
    return {to_camel(name): value for name, value in asdict(trial).items() if name not in hidden}


def _confirmed_json(one: Confirmed) -> dict[str, Any]:
    accuracy = one.trial.accuracy
    return {"rank": one.rank, "trial": one.trial.number, "accuracy": accuracy, "mean": one.mean, "each": one.accuracies}


def _is_troubled(trial: TrialStatus) -> bool:
    return trial.state in (SlotState.FAILED, SlotState.CRASHED) or (
        not trial.state.settled and (trial.attempts > 0 or trial.crashes > 0)
    )


def _name(trial: TrialStatus) -> str:
    if trial.number is None:
        return f"({trial.name})"
    return str(trial.number) if trial.work == "trial" else trial.name


def _lease(trial: TrialStatus) -> str:
    if trial.lease_left is None:
        return "–"
    return f"{trial.lease_left:.0f} s" if trial.lease_left >= 0 else f"ran out {-trial.lease_left:.0f} s ago"
