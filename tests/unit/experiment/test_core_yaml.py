import math
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.experiment.core_yaml import DEEPEST, LONGEST, dump_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"), ("190:20:30", "190:20:30"), ("010", 10), ("-010", -10), ("0o17", 15), ("0x1F", 31), ("0b11", "0b11"),
        ("1_000", "1_000"), ("+1", 1), ("-0", 0), ("1e-5", 1e-5), ("5E-4", 5e-4), (".5", 0.5), ("1.", 1.0), (".5e-2", 5e-3),
        ("yes", "yes"), ("No", "No"), ("on", "on"), ("y", "y"), ("true", True), ("FALSE", False), ("tRue", "tRue"),
        ("~", None), ("null", None), ("", None), ("nil", "nil"), ("2024-01-01", "2024-01-01"), ("=", "="), ("<<", "<<"),
        (".inf", math.inf), ("-.INF", -math.inf), ("!!str 1", "1"), ("!!float 1", 1.0), ("! 1", 1), ("'true'", "true"), ('"1"', "1"),
        ("|\n  1", "1"), ("\ufeff1", 1), ("%YAML 1.1\n--- yes", "yes"),
    ],
)  # fmt: skip
def test_value_is_what_the_core_schema_of_yaml_1_2_says(text: str, value: Any) -> None:
    found = parse_yaml(text)
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(parse_yaml(".nan"))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {b: 1}\nc: 2\na: {d: 3}", "line 3, column 1: a: given twice"),
        ("{a: {b: 1, b: 1}}", "line 1, column 12: b: given twice"),
        (BOMB, "line 2, column 8: an alias, *name, is not taken; write out what it stands for"),
        ("&a [*a]", "line 1, column 5: an alias"),
        ("a: {<<: *b}", "line 1, column 9: an alias"),
        ("!!python/object/apply:os.system [x]", "line 1, column 1: the type 'tag:yaml.org,2002:python/object/apply:os.system' is not taken"),
        ("!!set {a}", "line 1, column 1: the type 'tag:yaml.org,2002:set' is not taken"),
        ("!!timestamp 2024-01-01", "line 1, column 1: the type"),
        ("!!int 1:30", "line 1, column 1: not of the type !!int that it says"),
        ("!!bool yes", "line 1, column 1: not of the type !!bool that it says"),
        ("!!map [a]", "line 1, column 1: not of the type !!map that it says"),
        ("1: a", "line 1, column 1: 1: a key has to be text"),
        ("true: a", "line 1, column 1: true: a key has to be text"),
        ("? [a]\n: b", r"line 1, column 3: ['a']: a key has to be text"),
        ("a\n--- b", "line 2, column 1: a second document begins here; one is expected"),
        ("a: [", "line 1, column 5: while parsing a flow node, expected the node content, but found '<stream end>'"),
        ("a: \x1b[31m", "character 4 is 0x1b, no text"),
        (r'"\U00110000"', "an escape sequence or the version in it has too large a number"),
        (r'"\UFFFFFFFF"', "an escape sequence or the version in it has too large a number"),
        ("!" + "x" * 1000 + "!y a", "line 1, column 1: while parsing a node, found undefined tag handle"),
        ("9" * 5000, "line 1, column 1: '9999"),
        ("'" + "k" * 300 + "': 1\n" + "'" + "k" * 300 + "': 2", "line 2, column 1: " + "k" * 80 + "…: given twice"),
    ],
)  # fmt: skip
def test_text_that_could_be_misread_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^not YAML: ") as raised:
        parse_yaml(text)
    assert str(raised.value).startswith(f"not YAML: {message}")
    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("text", ["[" * 10_000, "- " * 10_000, "{a: " * 10_000, "? " * 10_000])
def test_thousands_of_levels_are_refused_at_once(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ValueError, match=f"deeper than {DEEPEST} levels$"):
        parse_yaml(text)
    assert time.monotonic() - begun < 5


def test_text_that_is_too_long_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"^longer than 8,388,608 characters$"):
        parse_yaml("[" + "1," * LONGEST)


texts = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"]), max_size=12
) | st.sampled_from(
    ["yes", "1e5", "0o17", "010", "1:30", "~", ".5", "1.", ".inf", "=", "<<", "null", "2024-01-01", "0x1f", "+1", " a ", "- a", "a: b", "#", ""]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | texts
trees = st.dictionaries(texts, st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))


@settings(max_examples=30, deadline=None)
@given(tree=trees)
def test_what_is_written_is_read_as_it_was_by_readers_of_either_yaml(tree: dict[str, Any]) -> None:
    text = dump_yaml(tree)
    assert parse_yaml(text) == tree
    assert yaml.safe_load(text) == tree
    assert [type(value) for value in parse_yaml(text).values()] == [type(value) for value in tree.values()]
