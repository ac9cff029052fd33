"""values.yaml and its schema, as files."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.support.helm import CHART, KUBERNETES, Helm

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def test_the_chart_is_clean(helm: Helm) -> None:
    said = helm.run("lint", str(CHART), "--strict", f"--kube-version={KUBERNETES}")
    assert "0 chart(s) failed" in said


def test_every_value_says_what_it_is() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()

    def documented(line: int) -> bool:
        above = line - 1
        while above >= 0 and lines[above].lstrip().startswith("#"):
            if lines[above].lstrip().startswith("# -- "):
                return True
            above -= 1
        return False

    def undocumented(node: yaml.MappingNode, path: str) -> Iterator[str]:
        for key, value in node.value:
            name = f"{path}{key.value}"
            if documented(key.start_mark.line):
                continue
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                yield from undocumented(value, f"{name}.")
            else:
                yield name

    root = yaml.compose((CHART / "values.yaml").read_text())
    assert isinstance(root, yaml.MappingNode)
    assert list(undocumented(root, "")) == []


def test_no_section_of_the_schema_takes_what_it_does_not_know() -> None:
    loose = [
        place
        for place, part in _parts(SCHEMA)
        if "properties" in part and part.get("additionalProperties") is not False
    ]
    assert loose == []


def test_schema_and_values_have_the_same_keys() -> None:
    def compare(schema: dict[str, Any], values: dict[str, Any], path: str) -> Iterator[str]:
        properties = _resolve(schema).get("properties", {})
        for key in values.keys() | properties.keys() - {"global"}:
            name = f"{path}{key}"
            if key not in values or key not in properties:
                yield name
            elif values[key] and isinstance(values[key], dict) and name != "experiment.searchSpace":
                yield from compare(properties[key], values[key], f"{name}.")

    assert [name for name in compare(SCHEMA, VALUES, "") if ".resources." not in name] == []


def test_every_value_is_used() -> None:
    templates = "".join(file.read_text() for folder in ("templates", "stages") for file in (CHART / folder).iterdir())

    def unused(values: dict[str, Any], path: str) -> Iterator[str]:
        for key, value in values.items():
            if not re.search(rf'[."]{key}\b', templates):
                yield f"{path}{key}"
            elif isinstance(value, dict) and f"{path}{key}" != "experiment" and key != "resources":
                yield from unused(value, f"{path}{key}.")

    assert list(unused(VALUES, "")) == []


def _parts(part: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        if not place.endswith("/properties"):
            yield place, part
        for key, value in part.items():
            yield from _parts(value, f"{place}/{key}")
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _parts(value, f"{place}/{index}")


def _resolve(part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in part:
        found: dict[str, Any] = SCHEMA["definitions"][part["$ref"].removeprefix("#/definitions/")]
        return found
    return part
