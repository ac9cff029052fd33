"""The part of a search space that decides on the network: its shape and its pruning."""

from collections.abc import Hashable

from jobs.experiment.parameters import ENTRY
from jobs.experiment.search_space import Choices, SearchSpace, end_points, grid_points
from jobs.experiment.values import ListValue, Value

NETWORK = ("model.", "pruning.")  # how the names of its parameters begin
OF_ANY_VALUE = ("model.width", "model.widths", "model.strides", "pruning.amounts")  # scalars of which all fit, or none


def searches_network(space: SearchSpace) -> bool:
    """Whether trials may differ in their network."""
    return any(name.startswith(NETWORK) for name in space)


def network_space(space: SearchSpace) -> SearchSpace:
    """The parameters of the network, and those that their conditions name."""
    names = [name for name in space if name.startswith(NETWORK)]
    for name in names:  # grows meanwhile: conditions have conditions
        names += [other for other in space[name].when or {} if other not in names]
    return {name: space[name] for name in names}


def network_combinations(space: SearchSpace) -> list[dict[str, Value]]:
    """The parameters of the network, in every combination that decides whether they fit together.

    One value stands for all that are alike in this: lists of one length, for example. Of parameters that conditions
    name every choice counts.
    """
    networks = network_space(space)
    conditions = {other for parameter in networks.values() for other in parameter.when or {}}
    reduced: SearchSpace = {}
    for name, parameter in networks.items():
        values = end_points(parameter)
        if name not in conditions:
            values = tuple({_what_fits(name, value): value for value in values}.values())
        reduced[name] = Choices(choices=values, when=parameter.when)
    return network_points(reduced)


def network_points(space: SearchSpace) -> list[dict[str, Value]]:
    """The parameters of the network in every combination.

    Raises:
        ValueError: as `grid_points`.

    """
    points = [
        {name: value for name, value in point.items() if name.startswith(NETWORK)}
        for point in grid_points(network_space(space))
    ]
    return list({tuple(point.items()): point for point in points}.values())


def _what_fits(name: str, value: Value) -> Hashable:
    """Equal for values of a parameter that fit the same other parameters."""
    if isinstance(value, ListValue):
        blocks = sum(depth for depth in value if isinstance(depth, int)) if name == "model.depths" else 0
        return len(value), blocks
    entry = ENTRY.fullmatch(name)
    if (entry[1] if entry else name) in OF_ANY_VALUE or (name.startswith("pruning.") and name != "pruning.method"):
        return value is None
    return value
