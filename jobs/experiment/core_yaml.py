"""YAML as the core schema of YAML 1.2 reads it: `yes` and `1:30` are text, and `010` is ten.

PyYAML finds the structure, which has not changed since the YAML 1.1 that it was made for; what a value means is said
here. What lets a reader see something else than is meant, or a short text take much memory, is refused: keys given
twice, aliases, tags of other types, deep nesting.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.reader import ReaderError

from resnet_core.shown_text import visible_lines
from resnet_core.validation import shown, shown_key

LONGEST = 2**23  # characters; what `dump_yaml` makes of the longest file is less than eight times as long
LONGEST_PROBLEM = 300  # characters; PyYAML quotes without a limit
DEEPEST = 32  # levels; an experiment has seven
PROBLEMS = {  # what PyYAML says of what people do, in plainer words
    "'\\t' that cannot start any token": "a tab; YAML is indented with spaces",
    "found a tab character": "a tab; YAML is indented with spaces",
    "but found another document": "a second document begins here; one is expected",
    "mapping values are not allowed here": "a colon where none can stand; text with one needs quotation marks",
}


def _whole(text: str) -> int:
    bases = {"0o": 8, "0x": 16}
    return int(text[2:], bases[text[:2]]) if text[:2] in bases else int(text)


# How values without quotes are written, in the order in which they are tried. All others are text.
SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", "~nN\0", lambda _: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789", _whole),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
        lambda text: float(re.sub(r"\.([a-z])", r"\1", text.lower())),
    ),
    "str": (r"(?s:.*)", "", str),
}


def parse_yaml(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        ValueError: it is not YAML, or has what is refused; the message, of one line, says where.

    """
    if len(text) > LONGEST:
        raise ValueError(f"longer than {LONGEST:,} characters")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _value(node)
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, ", ".join(filter(None, (error.context, error.problem)))
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = next((words for theirs, words in PROBLEMS.items() if theirs in problem), problem)
        raise ValueError(f"not YAML: {place}{' '.join(problem.split())[:LONGEST_PROBLEM]}") from None
    except ReaderError as error:
        raise ValueError(f"not YAML: character {error.position + 1} is {error.character:#x}, no text") from None
    except (OverflowError, ValueError):  # PyYAML leaves these to Python
        raise ValueError("not YAML: an escape sequence or the version in it has too large a number") from None


def dump_yaml(tree: Any) -> str:
    """YAML that every reader takes for the same, of YAML 1.1 or 1.2; what cannot be shown is an escape sequence."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text if visible_lines(text) == text else yaml.dump(tree, Dumper=_Dumper, sort_keys=False)


class _Loader(yaml.BaseLoader):
    """Finds the nodes of a document and their types."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(event.start_mark, "an alias, *name, is not taken; write out what it stands for")
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refusal(event.start_mark, f"deeper than {DEEPEST} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes text that looks like another type in YAML 1.1 or 1.2."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


for _kind, (_pattern, _first, _) in SCALARS.items():
    if _first:
        for _class in (_Loader, _Dumper):
            _class.add_implicit_resolver(
                f"tag:yaml.org,2002:{_kind}", re.compile(rf"({_pattern})\Z"), ["" if c == "\0" else c for c in _first]
            )


def _value(node: yaml.Node) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    match node:
        case yaml.MappingNode() if kind == "map":
            return _mapping(node)
        case yaml.SequenceNode() if kind == "seq":
            return [_value(entry) for entry in node.value]
        case yaml.ScalarNode() if kind in SCALARS and re.fullmatch(SCALARS[kind][0], node.value):
            try:
                return SCALARS[kind][2](node.value)
            except ValueError:  # Python reads no whole numbers of thousands of digits
                raise _refusal(node.start_mark, f"{shown(node.value)}: too many digits") from None
        case _ if kind in SCALARS or kind in ("map", "seq"):
            raise _refusal(node.start_mark, f"not of the type !!{kind} that it says")
    raise _refusal(node.start_mark, f"the type {shown(node.tag)} is not taken")


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _value(key_node)
        if not isinstance(key, str):
            raise _refusal(key_node.start_mark, f"{shown(key)}: a key has to be text")
        if key in mapping:
            raise _refusal(key_node.start_mark, f"{shown_key(key)}: given twice")
        mapping[key] = _value(value_node)
    return mapping


def _refusal(mark: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
