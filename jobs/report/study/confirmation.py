"""What confirmations say: how the best configurations do when trained again, and how much of first place was luck."""

from dataclasses import dataclass

from jobs.queue.status import Confirmed, SweepStatus, ranking
from resnet_core.figures.confirmation import ConfirmedPoint
from resnet_core.metrics import mean_interval, wilson_half_width
from resnet_core.shown_accuracy import points


@dataclass(frozen=True)
class ConfirmedRow:
    """A configuration. The interval is that of the mean, 95 % by Student's t; a single confirmation has none."""

    rank: int
    trial: int
    accuracy: float
    confirmations: int
    mean: float
    low: float | None
    high: float | None
    is_winner: bool

    @property
    def points(self) -> float:
        """By how much the mean is above the value in the sweep."""
        return self.mean - self.accuracy


@dataclass(frozen=True)
class Confirmation:
    """`luck` is a sentence or two; `rows` are empty where no confirmation is complete."""

    rows: list[ConfirmedRow]
    luck: str

    @property
    def is_even(self) -> bool:
        """Whether all configurations have the same number of confirmations."""
        return len({row.confirmations for row in self.rows}) <= 1


def confirmation(status: SweepStatus) -> Confirmation | None:
    """What the report says of the confirmations; None where there were to be none."""
    if not status.confirmations:
        return None
    return Confirmation([_row(one, status.winner) for one in status.confirmed], _luck(status))


def close_to_best(status: SweepStatus) -> int:
    """How many configurations the validation images do not tell from the best one of the sweep, which is not counted.

    None of them where the number of these images is not known.
    """
    ranked, images = ranking(status.trials), status.validation_images
    if not ranked or images is None:
        return 0
    best = ranked[0].accuracy or 0.0
    return sum((trial.accuracy or 0.0) >= best - wilson_half_width(best, images) for trial in ranked[1:])


def confirmed_points(status: SweepStatus) -> list[ConfirmedPoint]:
    return [
        ConfirmedPoint(one.rank, _number(one), one.trial.accuracy or 0.0, one.accuracies, status.validation_images)
        for one in status.confirmed
    ]


def _row(one: Confirmed, winner: Confirmed | None) -> ConfirmedRow:
    mean, low, high = mean_interval(one.accuracies)
    return ConfirmedRow(
        rank=one.rank,
        trial=_number(one),
        accuracy=one.trial.accuracy or 0.0,
        confirmations=len(one.accuracies),
        mean=mean,
        low=None if low is None else max(low, 0.0),
        high=None if high is None else min(high, 1.0),
        is_winner=one == winner,
    )


def _luck(status: SweepStatus) -> str:
    winner, first = status.winner, next((one for one in status.confirmed if one.rank == 1), None)
    if winner is None:
        return "No confirmation is complete. The first place of the sweep was taken; how much of it is luck is unknown."
    fewer = any(len(one.accuracies) < len(winner.accuracies) for one in status.confirmed)
    best = f"the best of those with {len(winner.accuracies)} confirmations" if fewer else "the best"
    mean = status.percent(winner.mean)
    taken = f"Place {winner.rank}, trial {winner.trial.number}, was taken: its mean, {mean}, is {best}."
    if first is None:
        return f"The first place of the sweep could not be confirmed, so how much of it was luck is unknown. {taken}"
    value = first.trial.accuracy or 0.0
    said = f"The first place of the sweep, trial {first.trial.number}, had {status.percent(value)} there"
    said += f" and has {status.percent(first.mean)} on average when trained again: "
    luck, images = value - first.mean, status.validation_images
    said += f"{points(luck, images)} percentage points of it were luck" if luck > 0 else "none of it was luck"
    open_by = 0.0 if images is None else wilson_half_width(value, images)
    said += (
        f", less than the {points(open_by, images)} that {images:,} validation images leave open."
        if 0 < luck < open_by
        else "."
    )
    if winner.rank == 1:
        return f"{said} It was taken: its mean is {best}."
    return f"{said} {taken}"


def _number(one: Confirmed) -> int:
    assert one.trial.number is not None  # of a complete trial
    return one.trial.number
