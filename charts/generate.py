"""Writes the experiment into the chart: `python charts/generate.py`, after a change of the experiment or a preset.

It writes the `experiment` part of values.schema.json, from the model; the `experiment` block of values.yaml, from the
preset `quick`; and a values file for each preset, for `helm install -f`.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import preset_names, preset_tree
from jobs.experiment.parameters import ENTRY, searchable_fields

CHART = Path(__file__).parent / "resnet-sweep"
DEFAULT_PRESET = "quick"
PREFIX = "experiment."  # begins the name of each definition in values.schema.json that is written here
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
BEGIN, END = "# BEGIN experiment", "# END experiment"


def main() -> None:
    for name, text in generated_files().items():
        (CHART / name).write_text(text)


def generated_files() -> dict[str, str]:
    """The text of each file that is written, by its path in the chart."""
    files = {f"experiments/{name}.yaml": _preset_values(name) for name in preset_names()}
    schema = json.loads((CHART / "values.schema.json").read_text())
    files["values.schema.json"] = json.dumps(_with_experiment(schema), indent=2, ensure_ascii=False) + "\n"
    head, rest = (CHART / "values.yaml").read_text().split(BEGIN)
    first_line = BEGIN + rest.split("\n")[0]
    tail = rest.split(END)[1]
    defaults = _written(preset_tree(DEFAULT_PRESET), commented=True)
    files["values.yaml"] = f"{head}{first_line}\n{defaults}{END}{tail}"
    return files


def experiment_schema() -> dict[str, Any]:
    """The definitions of the experiment and its sections, as JSON Schema draft 7, which every Helm reads."""
    schema = Experiment.model_json_schema(by_alias=True, ref_template=f"#/definitions/{PREFIX}{{model}}")
    definitions = {f"{PREFIX}{name}": _plain(part) for name, part in schema.pop("$defs").items()}
    experiment = _plain(schema)
    parameter = {"$ref": f"#/definitions/{PREFIX}Parameter"}
    entry = f"^{ENTRY.pattern}$"
    experiment["properties"]["searchSpace"] = {
        "type": "object",
        "description": "What is searched: any field of training, and model.<field> and pruning.<field>.",
        "additionalProperties": False,
        "properties": dict.fromkeys(searchable_fields(), parameter),
        "patternProperties": {entry: parameter},
    }
    definitions[f"{PREFIX}Searchable"] = {"anyOf": [{"enum": searchable_fields()}, {"pattern": entry}]}
    # With pydantic's oneOf, a validator can only say that neither fits. A parameter is removed by null.
    definitions[f"{PREFIX}Parameter"] = {
        "if": {"type": "object"},
        "then": {
            "if": {"required": ["choices"]},
            "then": {"$ref": f"#/definitions/{PREFIX}Choices"},
            "else": {"$ref": f"#/definitions/{PREFIX}Range"},
        },
        "else": {"type": ["object", "null"]},
    }
    return {f"{PREFIX}Experiment": experiment, **definitions}


def _plain(part: Any) -> Any:
    """The schema without titles and defaults, which values.yaml has; what may be null has a list of types."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("additionalProperties"), dict):  # the keys of all such objects are searchable fields
        part = {**part, "propertyNames": {"$ref": f"#/definitions/{PREFIX}Searchable"}}
    plain: dict[str, Any] = {}
    for key, value in part.items():
        if key in ("properties", "patternProperties"):  # a property may be called title
            plain[key] = {name: _plain(entry) for name, entry in value.items()}
        elif key not in {"title", "default"}:
            plain[key] = _plain(value)
    alternatives: list[dict[str, Any]] = plain.get("anyOf", [])
    lists = {alternative.get("type"): alternative["items"] for alternative in alternatives if "items" in alternative}
    if alternatives and all(alternative.keys() <= {"type", "items"} for alternative in alternatives) and len(lists) < 2:
        del plain["anyOf"]
        items = {"items": lists["array"]} if lists else {}
        return {"type": [alternative["type"] for alternative in alternatives], **items, **plain}
    match alternatives:
        case [{"type": str() as kind, **constraints}, {"type": "null"}]:
            del plain["anyOf"]
            plain = {"type": [kind, "null"], **constraints, **plain}
        case [{"$ref": _} as section, {"type": "null"}]:  # as a parameter below
            del plain["anyOf"]
            plain = {"if": {"type": "object"}, "then": section, "else": {"type": "null"}, **plain}
    return plain


def _with_experiment(schema: dict[str, Any]) -> dict[str, Any]:
    own = {name: part for name, part in schema["definitions"].items() if not name.startswith(PREFIX)}
    return schema | {"definitions": own | experiment_schema()}


def _preset_values(name: str) -> str:
    values = _written(_over(preset_tree(DEFAULT_PRESET), preset_tree(name)), commented=False)
    return (
        f"# The preset `{name}` for `helm install -f`; jobs/experiment/presets/{name}.yaml says what it is for.\n"
        f"# Written by `python charts/generate.py`; null takes out what values.yaml has.\n{values}"
    )


def _over(default: Any, wanted: Any) -> Any:
    """`wanted`, with a null for each key that only `default` has: Helm merges both, and null removes a key."""
    if not isinstance(default, dict) or not isinstance(wanted, dict):
        return wanted
    missing = {key: None for key in default if key not in wanted}
    return {key: _over(default.get(key), value) for key, value in wanted.items()} | missing


def _written(experiment: dict[str, Any], *, commented: bool) -> str:
    """The experiment as YAML, a line for each field; `commented` adds lines that describe the fields."""
    definitions = experiment_schema()
    lines = ["experiment:"]

    def write(section: dict[str, Any], tree: dict[str, Any], indent: str) -> None:
        for key, value in tree.items():
            part = section["properties"][key]
            nested = definitions.get(part.get("$ref", "").removeprefix("#/definitions/"))
            if commented and nested is None:
                lines.append(f"{indent}# -- {' '.join(filter(None, (part.get('description'), _allowed(part))))}")
            if nested is not None:
                lines.append(f"{indent}{key}:")
                write(nested, value, indent + "  ")
            elif isinstance(value, dict):
                lines.append(f"{indent}{key}:")
                lines.extend(f"{indent}  {name}: {_flow(entry)}" for name, entry in value.items())
            elif isinstance(value, list) and any(isinstance(entry, str | dict) for entry in value):
                lines.append(f"{indent}{key}:")
                lines.extend(f"{indent}  - {_flow(entry)}" for entry in value)
            else:
                lines.append(f"{indent}{key}: {_flow(value)}")

    write(definitions[f"{PREFIX}Experiment"], experiment, "  ")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """The value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _allowed(part: dict[str, Any]) -> str:
    """What the schema allows, in words: a list of values, or a type and its range."""
    if "$ref" in part:
        return "(object)"
    if "then" in part:
        return "(object or null)"
    if "enum" in part:
        return f"({', '.join(part['enum'])})"
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    limits = [f"{sign} {part[key]}" for key, sign in BOUNDS.items() if key in part]
    items = f"of {_allowed(part['items'])}" if "array" in kinds else ""
    return f"({' '.join(filter(None, (' or '.join(kinds), items, ' and '.join(limits))))})"


if __name__ == "__main__":
    main()
