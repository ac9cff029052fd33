"""What `prepare` finds out about the networks of a sweep, before any of them is trained."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from jobs.experiment.experiment import Experiment
from jobs.experiment.network_space import network_points, searches_network
from jobs.experiment.parameters import Configuration
from jobs.experiment.search_space import end_points
from jobs.experiment.values import Value
from resnet_core.build import check_strides, planned_network
from resnet_core.count import check_budget, count_parameters
from resnet_core.pruning import TargetOutOfReach
from resnet_core.validation import shown

MOST_COUNTED = 500  # networks, of which each takes some milliseconds


def check_networks(experiment: Experiment, classes: int, image_size: int) -> None:
    """Checks the budget where all trials train the same network.

    Where networks are searched, every trial checks its own budget. Here the ends of the search must allow a network,
    and if there are few of them, one must be within the budget. No network may divide images into less than pixels.

    Raises:
        ValueError: over the budget, out of pruning's reach, or of strides that are too large for the images.

    """
    if not any(name.startswith("model.strides") for name in experiment.searched):
        check_strides(experiment.model, image_size)
    if not searches_network(experiment.searched):
        check_budget(planned_network(experiment.model, experiment.pruning, classes), experiment.budget.parameters)
        return
    for key, own in _ends(experiment):
        try:
            check_strides(own.model, image_size)
            planned_network(own.model, own.pruning, classes)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    _check_any_fits(experiment, _listed(experiment), classes)


def _ends(experiment: Experiment) -> Iterator[tuple[str, Configuration]]:
    """A trial for each end of the search, and the key that says so."""
    for index, parameters in enumerate(experiment.sweep.configurations):
        yield f"sweep.configurations.{index}={shown(parameters)}", experiment.with_parameters(parameters)
    for name, parameter in experiment.search_space.items():
        for value in end_points(parameter):
            yield f"searchSpace.{name}={value!r}", experiment.example_with(name, value)


def _listed(experiment: Experiment) -> list[Configuration]:
    """The configurations of every network that trials can have; none if they are too many to count."""
    points: Sequence[Mapping[str, Value]] = experiment.sweep.configurations
    if not points:
        try:
            points = network_points(experiment.search_space)
        except ValueError:  # a range without steps, or thousands of combinations
            return []
    return [experiment.with_parameters(point) for point in points] if len(points) <= MOST_COUNTED else []


def _check_any_fits(experiment: Experiment, listed: Sequence[Configuration], classes: int) -> None:
    budget, least = experiment.budget.parameters, math.inf
    for own in listed:
        with suppress(TargetOutOfReach):
            least = min(least, count_parameters(planned_network(own.model, own.pruning, classes)))
        if least <= budget:
            return
    if least < math.inf:
        raise ValueError(f"budget.parameters={budget:,}: the smallest network of the search has {least:,} parameters")
