import io
from pathlib import Path

import matplotlib as mpl
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given, settings
from matplotlib.font_manager import fontManager

from resnet_core.figures import fonts
from resnet_core.figures.comparison import Point, accuracy_by_size
from resnet_core.figures.confusion import confusion_matrix
from resnet_core.figures.exhibit import Exhibit
from resnet_core.figures.fonts import label
from tests.support.hostile import texts


@pytest.fixture(autouse=True)
def _own_fonts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image without fonts."""
    ours = Path(mpl.get_data_path())
    own = [font for font in fontManager.ttflist if Path(font.fname).is_relative_to(ours)]
    monkeypatch.setattr(fontManager, "ttflist", own)
    for cached in (fonts._family_with, fonts._families_of_system):
        cached.cache_clear()


def add_font(file: Path, family: str, character: str) -> None:
    """A font of the system that has one character."""
    pen = TTGlyphPen(None)
    for move, corner in (
        (pen.moveTo, (0, 0)),
        (pen.lineTo, (0, 800)),
        (pen.lineTo, (800, 800)),
        (pen.lineTo, (800, 0)),
    ):
        move(corner)
    pen.closePath()
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "drawn"])
    font.setupCharacterMap({ord(character): "drawn"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "drawn": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (500, 0), "drawn": (1000, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupOS2(usWeightClass=400)
    font.setupPost()
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.save(file)
    fontManager.addfont(file)


@pytest.fixture
def cat_font(tmp_path: Path) -> None:
    add_font(tmp_path / "cats.ttf", "Cats", "猫")


def drawn(exhibit: Exhibit) -> bytes:
    """The pixels; a warning of a character that no font has would be an error."""
    file = io.BytesIO()
    exhibit.figure.savefig(file, format="png")
    return file.getvalue()


def confusion(*names: str) -> Exhibit:
    return confusion_matrix([[8, 2], [0, 5]], names)


def test_character_that_no_font_has_is_spelled_out() -> None:
    assert label("猫 cat") == r"\u732b cat"
    assert drawn(confusion("猫", "dog")) == drawn(confusion(r"\u732b", "dog"))


@pytest.mark.usefixtures("cat_font")
def test_font_of_the_system_is_taken_for_what_ours_lacks() -> None:
    assert label("猫犬 cat") == r"猫\u72ac cat"
    assert drawn(confusion("猫", "dog")) != drawn(confusion(r"\u732b", "dog"))
    assert confusion("猫", "dog").figure.axes[0].get_xticklabels()[0].get_fontfamily() == ["DejaVu Sans", "Cats"]


@pytest.mark.usefixtures("cat_font")
def test_of_two_fonts_of_one_name_only_the_one_that_draws_counts(tmp_path: Path) -> None:
    add_font(tmp_path / "dogs.ttf", "Cats", "犬")
    assert len({label("猫"), label("犬")} & {"猫", "犬"}) == 1
    drawn(confusion("猫", "犬"))


def test_fonts_that_the_user_has_set_do_not_count() -> None:
    expected = drawn(confusion("cat", "dog"))
    with mpl.rc_context({"font.family": "DejaVu Serif"}):
        assert drawn(confusion("cat", "dog")) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a name of 24 characters.", "a name of 24 characters."),
        ("team-vision-resnet-sweep-run-1", "team-vision…sweep-run-1"),
        ("é" * 30, "é" * 11 + "…" + "é" * 11),
        ("\x1b[31m", r"\x1b[31m"),
        ("_cat", " _cat"),
        ("$x^2$", r"\$x^2\$"),
    ],
)
def test_label_fits_and_is_taken_literally(text: str, shown: str) -> None:
    assert label(text) == shown


def test_name_that_begins_with_a_line_is_in_the_legend() -> None:
    exhibit = accuracy_by_size([Point("_mine", 100, 0.9, 0.8, 0.95), Point("theirs", 90, 0.8, published=True)])
    assert {text.get_text() for text in exhibit.figure.legends[0].get_texts()} == {" _mine", "theirs (published)"}


@settings(max_examples=10, deadline=None, derandomize=True)
@given(texts, texts)
def test_any_two_names_are_drawn(one: str, other: str) -> None:
    drawn(confusion(one, other))
