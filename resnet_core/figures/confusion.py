"""Which class is mistaken for which."""

from collections.abc import Sequence

import numpy as np

from resnet_core.figures.exhibit import WIDTH, Exhibit, draw
from resnet_core.figures.fonts import label

NAMED_CLASSES = 20  # with more classes there is no room for names that one can read


def confusion_matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Exhibit:
    """Counts by true and predicted class, shaded by their share of the true class."""
    counts = np.array(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = len(classes) <= NAMED_CLASSES
    side = max(WIDTH, 0.3 * len(classes) + 1.2) if named else WIDTH
    figure, (axes,) = draw(side + 0.4, width=side)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="none")
    figure.colorbar(image, ax=axes, location="bottom", shrink=0.7, pad=0.02, label="share of the true class")
    if named:
        size = 8 if counts.max() < 1000 else 6
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                color = "white" if share[row, column] > 0.5 else "black"
                text = f"{counts[row, column]}"
                axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color)
        names = [label(name) for name in classes]
        numbers = max(map(len, names)) <= 2
        axes.set_xticks(range(len(classes)), names, fontsize=9, rotation=0 if numbers else 90)
        axes.set_yticks(range(len(classes)), names, fontsize=9)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.spines[["top", "right"]].set_visible(True)
    rows = [(name, *line) for name, line in zip(classes, counts.tolist(), strict=True)]
    caption = "Test images by true and predicted class"
    caption += "." if named else ", numbered from 0 in the order of their list."
    return Exhibit("confusion-matrix", caption, figure, ("true class", *classes), rows)
