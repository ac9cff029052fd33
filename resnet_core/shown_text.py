"""How text from outside is made safe for each place where it is shown: names of classes and files, messages, values.

HTML is escaped by the templates, which show what `visible` makes of a text, and rich's tables take it without markup.
Figures have a module of their own for what their fonts can draw. Nothing here imports torch.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

# Control characters, formats such as the overrides of a text's direction, surrogates that stand for bytes that are no
# text, characters that nobody has defined, and two more that end a line.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # also formats, but words of some languages and many emoji are spelled with them
MARKUP = re.compile(r"[\\`*_{}\[\]<>|#~$&]|:(?=//)")  # of Markdown, anywhere in a line
BEGINS_BLOCK = re.compile(r"^(\d*)([-+=.)])(?=[-+=\s]|$)")  # of Markdown, at the beginning of a line: lists and rules
# What a spreadsheet takes for the beginning of a formula, also in its full width. The quotation mark that keeps it from
# doing so is among them, so that `from_csv_text` knows which marks are ours.
BEGINS_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠']")


def is_shown(text: str) -> bool:
    """Whether every character of the text can be shown as it is, in a line."""
    return text.isprintable() or not any(map(_is_hidden, text))


def is_name(text: str) -> bool:
    """Whether a person can read the text as the name of something: it can be shown, and is not blank."""
    return is_shown(text) and text.strip().strip(JOINERS) != ""


def visible(text: str) -> str:
    r"""The text in one line, with `\n`, `\x1b` or `\u202e`, say, in place of what cannot be shown."""
    return text if text.isprintable() else spelled_out(text, _is_hidden)


def visible_lines(text: str) -> str:
    """The same for a text of several lines, such as a traceback."""
    return "\n".join(map(visible, text.split("\n")))


def spelled_out(text: str, hidden: Callable[[str], bool]) -> str:
    """The text with an escape sequence of Python in place of each character that is hidden."""
    return "".join(c.encode("unicode_escape").decode() if hidden(c) else c for c in text)


def json_text(value: Any) -> str:
    """The value as JSON in one line, in which all that cannot be shown is an escape sequence of JSON."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if is_shown(text) else json.dumps(value, allow_nan=False)


def markdown(text: str) -> str:
    """Inline Markdown that shows the text as it is; it stays in its line, and in its cell of a table."""
    line = MARKUP.sub(r"\\\g<0>", visible(" ".join(text.split())))
    return BEGINS_BLOCK.sub(r"\1\\\2", line)


def markdown_block(text: str, language: str) -> str:
    """A block of code, whatever is in it."""
    ticks = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, ticks + 1)
    return f"{fence}{language}\n{visible_lines(text)}\n{fence}"


def csv_text(text: str) -> str:
    """The text as a cell that a spreadsheet shows, and does not compute."""
    shown = visible(text)
    return f"'{shown}" if BEGINS_FORMULA.match(shown) else shown


def from_csv_text(cell: str) -> str:
    """What `visible` makes of the text that was given to `csv_text`."""
    return cell.removeprefix("'")


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in HIDDEN and character not in JOINERS
