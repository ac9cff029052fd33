"""The documents name only what exists, and their commands are ones that the programs take."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.cli.arguments import STAGES, parser
from jobs.cli.exit_codes import EXIT_CONFIGURATION, EXIT_CTRL_C, EXIT_DONE, EXIT_FAILED, EXIT_STAGE_FAILED
from jobs.experiment.load import load_experiment, preset_names
from jobs.queue.compatibility import CONFIRM, FREE, TRIALS
from jobs.queue.tables import SlotState
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.interrupt import EXIT_INTERRUPTED
from jobs.runtime.settings import Settings
from tests.unit.test_architecture import LAYERS

REPOSITORY = Path(__file__).parents[2]
README, JOBS, CHART = (REPOSITORY / f"{folder}README.md" for folder in ("", "jobs/", "charts/resnet-sweep/"))
FOLDERS = ("jobs", "resnet_core", "charts", "k8s", "tests")
PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(page for folder in FOLDERS for page in (REPOSITORY / folder).rglob("*.md"))]
)
HISTORY = {REPOSITORY / "CHANGELOG.md", REPOSITORY / "tests/benchmarks/RESULTS.md"}  # of what may be gone by now
LONGEST = 200  # lines of the README
USAGE = 2  # argparse's exit code
CODE = {".py", ".sh", ".tpl", ".yaml"}

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
PATH = re.compile(rf"(?<![\w./-])((?:{'|'.join(FOLDERS)}|\.ci)/[\w./-]*\w)")
KEY = re.compile(r"([a-z]\w*(?:\.[A-Za-z]\w*)+)(?:[=:].*)?")
FILE_NAME = re.compile(r"\.(css|csv|html|json|jsonl|md|onnx|png|py|safetensors|svg|db|yaml|yml|tpl)$")


def _parametrized(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(REPOSITORY)) for page in pages])


each_page = _parametrized(PAGES)
each_current_page = _parametrized([page for page in PAGES if page not in HISTORY])


def blocks(page: Path, language: str) -> Iterator[str]:
    """The fenced blocks of a page in one language, without the indentation of a list that they stand in."""
    for indent, name, text in FENCE.findall(page.read_text()):
        if name == language:
            yield text.replace(f"\n{indent}", "\n")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def inline_code(page: Path) -> Iterator[str]:
    for text in re.findall(r"`([^`]+)`", prose(page)):
        yield " ".join(text.split())


def shell_commands(page: Path) -> Iterator[list[str]]:
    """What the shell would run, in words: of every `sh` block, and of code in a sentence unless it only names a command."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            command: list[str] = []
            for word in shlex.split(line, comments=True):
                if word in ("&&", "||", "|", ";"):
                    yield command
                    command = []
                else:
                    command.append(word)
            yield command
    for text in inline_code(page):
        if re.match(r"(resnet-sweep|python -m jobs|kubectl|helm) ", text):
            command = shlex.split(text)
            arguments = own_arguments(command)
            if arguments is None or len(arguments) > 1 or arguments[0] not in subcommands():
                yield command


def own_arguments(command: list[str]) -> list[str] | None:
    """What follows `resnet-sweep` or `python -m jobs`, wherever that stands in a command."""
    if command[:1] == ["resnet-sweep"]:
        return command[1:]
    for start in range(len(command) - 2):
        if command[start : start + 3] == ["python", "-m", "jobs"]:
            return command[start + 3 :]
    return None


@cache
def subcommands() -> frozenset[str]:
    return frozenset(re.findall(r"^ {2}([a-z][a-z-]+) {2,}", parser().format_help(), re.MULTILINE))


def helm_values(command: list[str]) -> Iterator[str]:
    """The keys that a `helm` command sets."""
    for option, text in pairwise(command):
        if option in ("--set", "--set-json", "--set-string"):
            yield from (pair.partition("=")[0] for pair in re.split(r",(?=[\w.]+=)", text))


@cache
def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


@cache
def code() -> str:
    """All source text but this file and the documents."""
    files = [file for folder in FOLDERS for file in (REPOSITORY / folder).rglob("*") if file.suffix in CODE]
    files += [REPOSITORY / "Dockerfile", REPOSITORY / ".ci/run"]
    return "\n".join(file.read_text() for file in files if file != Path(__file__))


@cache
def values() -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "charts/resnet-sweep/values.yaml").read_text())


def has_key(tree: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def section(page: Path, title: str) -> str:
    """What stands below a heading of the second level."""
    _, found, rest = page.read_text().partition(f"\n## {title}\n")
    assert found, f"{page}: no {title}"
    return rest.partition("\n## ")[0]


def rows(page: Path, title: str) -> list[list[str]]:
    """The cells of the tables in a section, without their headings."""
    lines = [line for line in section(page, title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def picture() -> str:
    (drawing,) = blocks(README, "text")
    return drawing


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in filter(None, (part for parts in LINK.findall(prose(page)) for part in parts)):
        if re.match(r"[a-z]+:", link):  # https: and the like
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@each_current_page
def test_every_path_that_is_named_exists(page: Path) -> None:
    named = set(
        PATH.findall("\n".join([*(text for _, _, text in FENCE.findall(page.read_text())), *inline_code(page)]))
    )
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []


@each_current_page
def test_every_module_that_is_run_exists(page: Path) -> None:
    modules = re.findall(rf"python -m ((?:{'|'.join(FOLDERS)})\b[\w.]*)", page.read_text())
    paths = [REPOSITORY / module.replace(".", "/") for module in modules]
    assert [
        path for path in paths if not (path / "__main__.py").exists() and not path.with_suffix(".py").exists()
    ] == []


def test_picture_shows_the_packages_in_their_direction() -> None:
    chains = [[name.strip() for name in line.split("──►")] for line in picture().splitlines()]
    assert list(reversed(LAYERS)) in chains


def test_picture_shows_the_stages_in_order() -> None:
    (line,) = (line for line in picture().splitlines() if line.strip().startswith("jobs/stages"))
    assert re.findall(r"[a-z][a-z-]*", line.replace("jobs/stages", "")) == list(STAGES)
    for stage in STAGES:
        assert list((REPOSITORY / "jobs/stages").glob(f"{stage.replace('-', '_')}*")), stage


def test_picture_shows_what_the_stages_share() -> None:
    for what in ("database: jobs/queue", "bucket: jobs/artifacts", "charts/resnet-sweep", "resnet_core/"):
        assert what in picture()


def test_every_package_has_its_line_in_the_table() -> None:
    assert tuple(package.strip("`") for package, *_ in rows(JOBS, "The packages")) == LAYERS


def test_every_preset_has_its_line() -> None:
    links = [preset for preset, *_ in rows(README, "Presets")]
    assert set(links) == {f"[{name}](jobs/experiment/presets/{name}.yaml)" for name in preset_names()}


@each_page
def test_every_preset_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"(?:extends: |--preset |[Pp]resets? `)([a-z][\w-]*)", page.read_text())
    assert set(named) <= set(preset_names())


def test_every_command_is_explained() -> None:
    explained = [name for names, _ in rows(JOBS, "Commands") for name in re.findall(r"`([\w-]+)`", names)]
    assert sorted(explained) == sorted(subcommands())


def test_every_exit_code_is_explained() -> None:
    codes = {int(code) for code, _ in rows(JOBS, "Exit codes") if code.isdigit()}
    assert codes == {
        EXIT_DONE,
        EXIT_FAILED,
        USAGE,
        EXIT_STAGE_FAILED,
        EXIT_INTERRUPTED,
        EXIT_CONFIGURATION,
        EXIT_CTRL_C,
    }


def test_every_variable_of_the_environment_is_explained_with_its_default() -> None:
    explained = []
    for names, default, _ in rows(JOBS, "Environment variables"):
        for name in re.findall(r"`(\w+)`", names):
            explained.append(name)
            if default.isdigit():
                assert Settings.model_fields[name.lower()].default == int(default), name
    assert sorted(explained) == sorted(name.upper() for name in Settings.model_fields)


def test_every_way_to_settle_is_in_the_glossary() -> None:
    settled = [word for word, meaning in rows(JOBS, "Glossary") if meaning.startswith("Settled:")]
    assert sorted(settled) == sorted(state for state in SlotState if state.settled)


def test_fields_that_may_change_are_named() -> None:
    for key in (*FREE, TRIALS, CONFIRM):
        assert f"`{key}`" in section(JOBS, "Changing a sweep that runs")
        assert f"`experiment.{key}`" in section(CHART, "Upgrading")


@each_page
def test_every_variable_that_is_named_is_read_somewhere(page: Path) -> None:
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", page.read_text()))
    named |= {match[1] for text in inline_code(page) if (match := re.fullmatch(r"([A-Z]{4,})(=\S*)?", text))}
    known = {name.upper() for name in Settings.model_fields}
    assert [name for name in sorted(named - known) if not re.search(rf"\b{name}\b", code())] == []


@each_current_page
def test_every_key_that_is_named_is_a_field_or_a_value(page: Path) -> None:
    """Of the experiment, of its part `training` as a search space names it, or of the chart."""
    named = {
        match[1] for text in inline_code(page) if (match := KEY.fullmatch(text)) and not FILE_NAME.search(match[1])
    }
    experiment = values()["experiment"]
    roots = {*values(), *experiment, "schedule", "augmentation"} - {"searchSpace"}
    trees = (values(), experiment, experiment["training"])
    dangling = {
        key for key in named if key.partition(".")[0] in roots and not any(has_key(tree, key) for tree in trees)
    }
    assert dangling == set()


@each_page
def test_every_command_line_is_accepted(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = []
    for command in shell_commands(page):
        arguments = own_arguments(command)
        if arguments is None:
            continue
        try:
            options = parser().parse_args(arguments)
            if getattr(options, "set", None) is not None and options.config is None:
                load_experiment(options.preset, None, options.set)
        except SystemExit as end:
            if end.code:
                refused.append(f"{' '.join(arguments)}: {capsys.readouterr().err.strip().splitlines()[-1]}")
        except ConfigurationError as error:
            refused.append(f"{' '.join(arguments)}: {error}")
    assert refused == []


@each_current_page
def test_every_value_that_helm_is_given_is_one_of_the_chart(page: Path) -> None:
    keys = {key for command in shell_commands(page) if command[:1] == ["helm"] for key in helm_values(command)}
    assert [key for key in sorted(keys) if not has_key(values(), key)] == []
