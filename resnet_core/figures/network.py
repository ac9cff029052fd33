"""The network, layer by layer. If it was pruned, each figure shows it before and after pruning."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from resnet_core.count import LayerCount
from resnet_core.figures.exhibit import BLUE, SKY, Exhibit, draw, legend_below


def filters_per_layer(before: Sequence[LayerCount], after: Sequence[LayerCount]) -> Exhibit:
    """Output channels of every convolution."""
    pairs = [[layer.filters for layer in layers[:-1]] for layers in (before, after)]
    names = [layer.title for layer in before[:-1]]
    return _bars(
        "filters-per-layer", "Filters of every convolution", names, *pairs, label="filters", layers=len(before)
    )


def parameters_per_layer(before: Sequence[LayerCount], after: Sequence[LayerCount]) -> Exhibit:
    """Parameters of every layer, where those of a batch norm count towards its convolution."""
    pairs = [[layer.parameters for layer in layers] for layers in (before, after)]
    names = [layer.title for layer in before]
    return _bars(
        "parameters-per-layer", "Parameters of every layer", names, *pairs, label="parameters", layers=len(before)
    )


def _bars(
    name: str, what: str, names: list[str], before: list[int], after: list[int], *, label: str, layers: int
) -> Exhibit:
    """A bar a layer; as high as a figure of so many layers."""
    figure, (axes,) = draw(0.27 * layers + 1.2)
    positions, pruned = np.arange(len(names)), before != after
    if pruned:
        axes.barh(positions - 0.2, before, 0.38, color="white", hatch="////", edgecolor=SKY, label="before pruning")
        bars = axes.barh(positions + 0.2, after, 0.38, color=BLUE, label="after pruning")
    else:
        bars = axes.barh(positions, after, 0.6, color=BLUE)
    for bar, layer in zip(bars, names, strict=True):
        bar.set_gid(f"bar-{layer}")
    axes.set_yticks(positions, names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if max(before) >= 10_000:
        unit, sign = (1e6, "M") if max(before) >= 1_000_000 else (1e3, "k")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g} {sign}" if value else "0"))
    if not pruned:
        hover = {f"bar-{layer}": [f"{layer}: {count:,}"] for layer, count in zip(names, after, strict=True)}
        return Exhibit(name, f"{what}.", figure, ("layer", label), list(zip(names, after, strict=True)), hover)
    legend_below(figure, axes)
    rows = list(zip(names, before, after, strict=True))
    hover = {f"bar-{layer}": [f"{layer}: {old:,} before, {new:,} after"] for layer, old, new in rows}
    caption = f"{what}, before and after pruning."
    return Exhibit(name, caption, figure, ("layer", f"{label} before", f"{label} after"), rows, hover)
