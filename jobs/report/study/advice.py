"""What it would take to know better, in words made from a study's own numbers."""

import math

from scipy.special import stdtrit

from jobs.experiment.search_space import Choices, Range, SearchSpace
from jobs.queue.status import duration, ranking
from jobs.report.study.cost import Cost
from jobs.report.study_results import StudyResults
from resnet_core.figures.exhibit import short
from resnet_core.metrics import open_points
from resnet_core.shown_accuracy import points

EDGE = 0.03  # of a range
FEWEST_CHOICES = 3  # of which one can be said to be at the end
MOST_EDGES = 2  # that are named
ENOUGH_IMAGES = 5_000  # to test on
MORE_SEEDS = 3


def advice(results: StudyResults, cost: Cost) -> list[str]:
    """A sentence or two for each thing that would tell more, the most telling first."""
    said = _edges(results)
    if results.experiment.searched:
        said += _confirmation(results)
        said += _trials(results, cost)
    return [*said, *_seeds(results, cost), *_images(results)]


def edges(space: SearchSpace, parameters: dict[str, object]) -> list[tuple[str, str]]:
    """The parameters whose value is at an end of what was searched, and that end; not where 0 is the lower one."""
    found = []
    for name, value in parameters.items():
        own = space.get(name)
        ends = _ends(own) if own is not None and isinstance(value, int | float) else None
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


def _edges(results: StudyResults) -> list[str]:
    parameters = results.model.trial.parameters
    found = edges(results.experiment.searched, dict(parameters))[:MOST_EDGES]
    return [
        f"A wider range: {name}={short(parameters[name])} is at {end}; values beyond were not tried."
        for name, end in found
    ]


def _confirmation(results: StudyResults) -> list[str]:
    status, images = results.status, results.status.validation_images
    ranked = ranking(status.trials)
    if status.confirmations or images is None or len(ranked) < MORE_SEEDS:
        return []
    best = ranked[0].accuracy or 0.0
    near = sum((trial.accuracy or 0.0) >= best - open_points(best, images) for trial in ranked)
    if near == 1:
        return []
    mean = sum(trial.seconds or 0.0 for trial in ranked) / len(ranked)
    again = min(near, MORE_SEEDS)
    took = duration(again * MORE_SEEDS * mean)
    return [
        f"Confirmation: sweep.confirm={{trials: {again}, seeds: {MORE_SEEDS}}} trains the {again} best again with "
        f"{MORE_SEEDS} seeds each and takes the best mean, for some {took} more, added up."
    ]


def _trials(results: StudyResults, cost: Cost) -> list[str]:
    status = results.status
    begun = sum(trial.number is not None for trial in status.trials)
    if results.experiment.sweep.sampler.is_fixed or status.best is None or begun < MORE_SEEDS:
        return []  # a grid has no more points
    number, count = status.best.number or 0, len(status.trials)
    after = begun - 1 - number
    more = f"sweep.trials={2 * count} adds {count} for some {duration(3600 * cost.trial_hours)} more, added up"
    if 3 * after < begun:
        return [f"More trials: the best value came late, in trial {number} of 0 to {begun - 1}. {more}."]
    return [
        f"More trials promise less: the last {after} of {begun} found nothing better than trial {number}. Longer ones "
        "or another search space may."
    ]


def _seeds(results: StudyResults, cost: Cost) -> list[str]:
    metrics, seeds = results.metrics, len(results.metrics.seeds)
    each = cost.final_hours / seeds
    if metrics.accuracy.low is None or metrics.accuracy.high is None:
        return [
            f"More seeds: finalTrain.seeds={MORE_SEEDS} tells how much of the result is the seed, for some "
            f"{duration(3600 * each * (MORE_SEEDS - 1))} more."
        ]
    half = (metrics.accuracy.high - metrics.accuracy.low) / 2
    wanted, images = 2 * seeds, metrics.test.images
    narrower = half * math.sqrt(seeds / wanted) * stdtrit(wanted - 1, 0.975) / stdtrit(seeds - 1, 0.975)
    return [
        f"More seeds: {wanted} in place of {seeds} would narrow the interval of the mean from ± {points(half, images)} "
        f"to about ± {points(narrower, images)} points, for some {duration(3600 * each * seeds)} more."
    ]


def _images(results: StudyResults) -> list[str]:
    test = results.metrics.test
    if test.images >= ENOUGH_IMAGES:
        return []
    open_by = open_points(test.accuracy, test.images)
    return [
        f"More test images: {test.images:,} tell the accuracy of one network to about ± {points(open_by, test.images)} "
        "points; four times as many would halve that."
    ]
