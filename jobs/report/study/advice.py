"""What it would take to know better, in words made from a study's own numbers."""

import math
from dataclasses import dataclass

from markupsafe import Markup
from scipy.special import stdtrit

from jobs.experiment.search_space import Choices, Range, SearchSpace
from jobs.queue.status import duration, ranking
from jobs.report.study.confirmation import close_to_best
from jobs.report.study.cost import Cost
from jobs.report.study_results import StudyResults
from resnet_core.figures.exhibit import short
from resnet_core.metrics import wilson_half_width
from resnet_core.shown_accuracy import points

EDGE = 0.03  # of a range
FEWEST_CHOICES = 3  # of which one can be said to be at the end
MOST_EDGES = 2  # that are named
ENOUGH_IMAGES = 5_000  # to test on
MORE_SEEDS = 3
MANY_OF_A_CLASS = 500  # training images
ANEW = "As a study of its own, by the same command with"
LONGEST_NAME = 63  # of a study
FAR_BELOW = 0.2  # the accuracy of a class below that of all


@dataclass(frozen=True)
class Hint:
    """A sentence or two, and the options of the command with which it can be followed."""

    words: str
    option: Markup | None = None


def advice(results: StudyResults, cost: Cost) -> list[Hint]:
    """A hint for each thing that would tell more, the most telling first."""
    said = [*_training_images(results), *_weakest_class(results), *_edges(results)]
    if results.experiment.searched:
        said += _confirmation(results)
        said += _trials(results, cost)
    return [*said, *_seeds(results, cost), *_images(results)]


def edges(space: SearchSpace, parameters: dict[str, object]) -> list[tuple[str, str]]:
    """The parameters whose value is at an end of what was searched, and that end; not where 0 is the lower one."""
    found = []
    for name, value in parameters.items():
        ends = _ends(space[name]) if name in space else None
        if ends is None or not isinstance(value, int | float):
            continue
        low, high, log = ends
        place, first, last = (math.log(end) if log else end for end in (value, low, high))
        share = (place - first) / (last - first)
        if share <= EDGE and low > 0:
            found.append((name, f"the lower end of what was searched ({short(low)} to {short(high)})"))
        elif share >= 1 - EDGE:
            found.append((name, f"the upper end of what was searched ({short(low)} to {short(high)})"))
    return found


def _ends(own: Choices | Range) -> tuple[float, float, bool] | None:
    if isinstance(own, Range):
        return own.low, own.reached, own.log
    numbers = [value for value in own.choices if isinstance(value, int | float) and not isinstance(value, bool)]
    return (min(numbers), max(numbers), False) if len(numbers) == len(own.choices) >= FEWEST_CHOICES else None


def _training_images(results: StudyResults) -> list[Hint]:
    each = results.model.training_images // len(results.model.classes)
    if each >= MANY_OF_A_CLASS:
        return []
    return [Hint(f"More training images: there are some {each:,} of each class, and more of them often help most.")]


def _weakest_class(results: StudyResults) -> list[Hint]:
    test = results.metrics.test
    rows = zip(results.model.classes, test.per_class_accuracy, test.confusion, strict=True)
    tested = [(share, name, sum(row)) for name, share, row in rows if share is not None]
    share, name, images = min(tested)
    if share > test.accuracy - FAR_BELOW:
        return []
    of_seed = f" by the network of seed {results.metrics.chosen}" if len(results.metrics.seeds) > 1 else ""
    return [
        Hint(f"Images of {name}, the weakest class: {round(share * images)} of {images:,} were recognised{of_seed}.")
    ]


def _edges(results: StudyResults) -> list[Hint]:
    parameters = results.model.trial.parameters
    found = edges(results.experiment.searched, dict(parameters))[:MOST_EDGES]
    return [
        Hint(f"A wider range: {name}={short(parameters[name])} is at {end}; values beyond were not tried.")
        for name, end in found
    ]


def _confirmation(results: StudyResults) -> list[Hint]:
    status, near = results.status, close_to_best(results.status)
    ranked = ranking(status.trials)
    if status.confirmations or not near or len(ranked) < MORE_SEEDS:
        return []
    again = min(near + 1, MORE_SEEDS)
    took = duration(again * MORE_SEEDS * sum(trial.seconds or 0.0 for trial in ranked) / len(ranked))
    words = (
        f"Confirmation: the {again} best trained again with {MORE_SEEDS} seeds each and the best mean taken, for some "
    )
    words += f"{took} more, trainings added up. The same command again with"
    return [Hint(words, Markup(f"--set 'sweep.confirm={{trials: {again}, seeds: {MORE_SEEDS}}}'"))]


def _trials(results: StudyResults, cost: Cost) -> list[Hint]:
    status = results.status
    begun = sum(trial.number is not None for trial in status.trials)
    if results.experiment.sweep.sampler.is_fixed or status.best is None or begun < MORE_SEEDS:
        return []  # a grid has no more points
    number, count = status.best.number or 0, len(status.trials)
    after = begun - 1 - number
    if 3 * after < begun:
        words = f"More trials: the best value came late, in trial {number} of 0 to {begun - 1}. {count} more take some "
        words += f"{duration(3600 * cost.trial_hours)}, trainings added up. The same command again with"
        return [Hint(words, Markup(f"--set sweep.trials={2 * count}"))]
    return [
        Hint(
            f"More trials promise less: the last {after} of {begun} found nothing better than trial {number}. Longer "
            "ones or another search space may."
        )
    ]


def _seeds(results: StudyResults, cost: Cost) -> list[Hint]:
    metrics, seeds = results.metrics, len(results.metrics.seeds)
    each = cost.final_hours / seeds
    if metrics.accuracy.low is None or metrics.accuracy.high is None:
        return [
            Hint(
                f"More seeds: {MORE_SEEDS} tell how much of the result is the seed, for some "
                f"{duration(3600 * each * (MORE_SEEDS - 1))} more of final training. {ANEW}",
                _of_seeds(results, MORE_SEEDS),
            )
        ]
    half = (metrics.accuracy.high - metrics.accuracy.low) / 2
    wanted, images = 2 * seeds, metrics.test.images
    narrower = half * math.sqrt(seeds / wanted) * stdtrit(wanted - 1, 0.975) / stdtrit(seeds - 1, 0.975)
    return [
        Hint(
            f"More seeds: {wanted} in place of {seeds} would narrow the interval of the mean from "
            f"± {points(half, images)} to about ± {points(narrower, images)} points. {ANEW}",
            _of_seeds(results, wanted),
        )
    ]


def _of_seeds(results: StudyResults, seeds: int) -> Markup:
    ending = f"-{seeds}-seeds"
    name = results.experiment.study_name[: LONGEST_NAME - len(ending)].rstrip("-") + ending
    return Markup(f"--set study.name={name} --set finalTrain.seeds={seeds}")


def _images(results: StudyResults) -> list[Hint]:
    test = results.metrics.test
    if test.images >= ENOUGH_IMAGES:
        return []
    open_by = wilson_half_width(test.accuracy, test.images)
    return [
        Hint(
            f"More test images: {test.images:,} tell the accuracy of one network to about "
            f"± {points(open_by, test.images)} points; four times as many would halve that."
        )
    ]
