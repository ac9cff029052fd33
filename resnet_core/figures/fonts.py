"""What figures can draw of a text, and with which fonts: matplotlib's own, else those of the system."""

import unicodedata
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from resnet_core.shown_text import spelled_out, visible

OWN = "DejaVu Sans"
REGULAR = ((400, "normal", "normal"), ("normal", "normal", "normal"))  # weight, style and stretch of a font
LONGEST = 24  # letters of a label, so that it leaves room for what it labels


def label(text: str, longest: int = LONGEST) -> str:
    """The text as a label that can be drawn in one line.

    A character that no font has is replaced by its escape sequence, and a long text loses its middle: what tells names
    apart is often at their end.
    """
    drawn = spelled_out(visible(text), lambda character: _family_with(character) is None)
    shown = _shortened(drawn, longest).replace("$", r"\$")  # matplotlib would take what follows a dollar for a formula
    return f" {shown}" if shown.startswith("_") else shown  # and leaves what begins like this out of a legend


def use_fonts(figure: Figure) -> None:
    """Has all text of a figure drawn with the first font that has a character, and nothing that the user has set."""
    texts = figure.findobj(Text)
    characters = {character for text in texts if isinstance(text, Text) for character in text.get_text()}
    families = {family for family in map(_family_with, characters) if family is not None}
    for text in texts:
        if isinstance(text, Text):
            text.set_fontfamily([OWN, *sorted(families - {OWN})])


@cache
def _family_with(character: str) -> str | None:
    if ord(character) in _characters(findfont(FontProperties(family=[OWN]))):
        return OWN
    return next((family for family, file in _families_of_system() if ord(character) in _characters(file)), None)


@cache
def _families_of_system() -> list[tuple[str, str]]:
    """Names and files of the fonts, the one with the most characters first, so that a text gets few of them."""
    ours = Path(mpl.get_data_path())
    names = {
        font.name
        for font in fontManager.ttflist
        if not Path(font.fname).is_relative_to(ours) and (font.weight, font.style, font.stretch) in REGULAR
    }
    files = {name: findfont(FontProperties(family=[name])) for name in names}  # of several, the one that will be used
    return sorted(files.items(), key=lambda font: (-len(_characters(font[1])), font[0]))


@cache
def _characters(file: str) -> frozenset[int]:
    """Those that a font can draw; none if it holds pictures, as that of emoji may."""
    font = get_font(file)
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


def _shortened(text: str, longest: int) -> str:
    widths = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text]
    if sum(widths) <= longest:
        return text
    half = (longest - 1) // 2
    head = next(end for end in range(len(text), -1, -1) if sum(widths[:end]) <= half)
    tail = next(start for start in range(len(text) + 1) if sum(widths[start:]) <= half)
    return f"{text[:head]}…{text[tail:]}"
