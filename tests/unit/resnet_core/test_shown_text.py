import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from resnet_core.shown_text import (
    csv_text,
    from_csv_text,
    is_name,
    is_shown,
    json_text,
    markdown,
    markdown_block,
    visible,
    visible_lines,
)
from tests.support.hostile import texts

RENDERED = MarkdownIt("commonmark").enable("table").enable("strikethrough")
quick = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat", "cat"),
        ("Кот, 猫, قط, ก, \U0001f469\u200d\U0001f4bb", "Кот, 猫, قط, ก, \U0001f469\u200d\U0001f4bb"),
        ("non\u00a0breaking\u3000spaces", "non\u00a0breaking\u3000spaces"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("one\r\ntwo\tthree", r"one\r\ntwo\tthree"),
        ("\0", r"\x00"),
        ("\x9b2J", r"\x9b2J"),
        ("caf\udce9", r"caf\udce9"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("a\u200bb\u2028c\ufeffd\ufffee", r"a\u200bb\u2028c\ufeffd\ufffee"),
    ],
)
def test_what_cannot_be_shown_is_spelled_out_and_nothing_else(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert is_shown(text) == (text == shown)


@pytest.mark.parametrize("text", ["", " ", "\u3000", "\u200d", "a\n", "\x1b"])
def test_what_nobody_can_read_is_no_name(text: str) -> None:
    assert not is_name(text)
    assert is_name(f"{visible(text)}cat")


@quick
@given(texts)
def test_text_is_in_one_line_of_characters_that_can_be_shown(text: str) -> None:
    shown = visible(text)
    assert {unicodedata.category(c)[0] for c in shown if c not in "\u200c\u200d"} <= set("LMNPSZ")
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
    assert visible_lines(text).count("\n") == text.count("\n")
    shown.encode()


@quick
@given(texts)
def test_json_is_shown_and_says_the_same(text: str) -> None:
    line = json_text({text: [text]})
    assert is_shown(line)
    assert json.loads(line) == {text: [text]}


@quick
@given(texts)
def test_markdown_shows_the_text_and_makes_nothing_of_it(text: str) -> None:
    expected = " ".join(visible(" ".join(text.split())).split())
    for source in (f"x {markdown(text)} x", f"- {markdown(text)}", f"a | b\n--- | ---\n{markdown(text)} | x\n"):
        tokens = [token for block in RENDERED.parse(source) for token in (block, *(block.children or ()))]
        assert {token.type.removesuffix("_open").removesuffix("_close") for token in tokens} <= {
            *("inline", "text", "text_special", "paragraph", "bullet_list", "list_item"),
            *("table", "thead", "tbody", "tr", "th", "td"),
        }
        words = "".join(token.content for token in tokens if token.type in ("text", "text_special"))
        assert expected in " ".join(words.split())


@quick
@given(texts)
def test_block_of_code_ends_where_it_should(text: str) -> None:
    (block, *others) = RENDERED.parse(markdown_block(text, "sh"))
    assert (block.type, block.info, others) == ("fence", "sh", [])
    assert block.content == f"{visible_lines(text)}\n"


@quick
@given(texts)
def test_cell_of_a_csv_is_no_formula_and_says_the_same(text: str) -> None:
    cell = csv_text(text)
    assert cell.lstrip()[:1] not in tuple("=+-@＝＋－＠")
    assert from_csv_text(cell) == visible(text)
    file = io.StringIO()
    csv.writer(file).writerow([cell, "x"])
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [[cell, "x"]]


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", " =1", "＝1"])
def test_formula_becomes_text(text: str) -> None:
    assert csv_text(text) == f"'{text}"
