"""Figures as files: each as PNG, as SVG, and as a CSV of the numbers behind it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jobs.artifacts import Artifacts
from resnet_core.figures.exhibit import Cell, Exhibit
from resnet_core.figures.inline_svg import inline_svg, svg_text
from resnet_core.shown_text import csv_text

DPI = 200
MOST_NUMBERS = 40  # rows that a page shows below a figure; the CSV has them all


@dataclass(frozen=True)
class ShownFigure:
    """A figure as a page shows it. `rows` is empty if there are too many to show."""

    name: str
    caption: str
    svg: Markup
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


def save_figure(artifacts: Artifacts, folder: str, exhibit: Exhibit) -> ShownFigure:
    """Writes `<folder>/<name>.png`, `.svg` and `.csv`."""
    place, svg = f"{folder}/{exhibit.name}", svg_text(exhibit)
    artifacts.write(f"{place}.png", lambda path: exhibit.figure.savefig(path, format="png", dpi=DPI))
    artifacts.write_text(f"{place}.svg", svg)
    write_csv(artifacts, f"{place}.csv", exhibit.header, exhibit.rows)
    rows = exhibit.rows if len(exhibit.rows) <= MOST_NUMBERS and len(exhibit.header) <= MOST_NUMBERS else ()
    return ShownFigure(exhibit.name, exhibit.caption, Markup(inline_svg(exhibit, svg)), exhibit.header, rows)


def write_csv(artifacts: Artifacts, key: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    text = io.StringIO()
    cells = ([csv_text(cell) if isinstance(cell, str) else cell for cell in row] for row in (header, *rows))
    csv.writer(text, lineterminator="\n").writerows(cells)
    artifacts.write_text(key, text.getvalue())
