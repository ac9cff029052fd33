"""The folders show the architecture, and it stays so."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from jobs.experiment.experiment import Experiment
from jobs.runtime.settings import Settings
from resnet_core import config

REPOSITORY = Path(__file__).parents[2]
LAYERS = (
    "runtime",
    "experiment",
    "artifacts",
    "queue",
    "report",
    "stages",
    "runners",
    "cli",
)  # each knows those before
LONGEST = 300  # lines of a module


def sources(package: str) -> Iterator[Path]:
    yield from sorted((REPOSITORY / package).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports anywhere, or of what it takes out of them."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}: a relative import"  # noqa: PT018
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_package_of_jobs_has_its_layer() -> None:
    packages = {folder.name for folder in (REPOSITORY / "jobs").iterdir() if (folder / "__init__.py").exists()}
    assert packages == set(LAYERS)


def test_packages_of_jobs_import_only_layers_below_their_own() -> None:
    upwards = []
    for layer, package in enumerate(LAYERS):
        for file in sources(f"jobs/{package}"):
            names = {name.split(".")[1] for name in imported(file) if name.startswith("jobs.")}
            upwards += [
                f"{file.relative_to(REPOSITORY)} imports {name}" for name in names if name not in LAYERS[: layer + 1]
            ]
    assert upwards == []


def test_science_knows_no_service() -> None:
    services = {"jobs", "optuna", "sqlalchemy", "psycopg2", "boto3", "kubernetes"}
    found = {
        (file.name, name)
        for file in sources("resnet_core")
        for name in imported(file)
        if name.split(".")[0] in services
    }
    assert found == set()


def paths(tree: dict[str, Any], above: str = "") -> Iterator[str]:
    """All keys below the first level, dotted, and those of the first level that look like no ordinary word."""
    for key, value in tree.items():
        if above or key != key.lower():
            yield above + key
        if isinstance(value, dict):
            yield from paths(value, f"{above}{key}.")


def test_science_names_no_chart_key_and_no_environment_variable() -> None:
    """Neither in code nor in comments and messages: it says what is wrong, and `jobs` adds the setting that it is about.

    Keys of the experiment's sections that `resnet_core/config.py` describes are its own.
    """
    values = yaml.safe_load((REPOSITORY / "charts/resnet-sweep/values.yaml").read_text())
    fields = Experiment.model_fields.items()
    own = {field.alias for _, field in fields if getattr(field.annotation, "__module__", "") == config.__name__}
    assert own == {"data", "model", "pruning", "budget", "training"}
    experiment = values.pop("experiment")
    keys = {*paths(values), *paths({key: value for key, value in experiment.items() if key not in own})}
    variables = {*(name.upper() for name in Settings.model_fields), "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"}
    assert {"finalTrain.gpus", "sweep.trials", "finalTrain", "RANK", "DEVICE"} <= keys | variables
    foreign = re.compile(rf"\b({'|'.join(map(re.escape, keys | variables))}|environ|getenv)\b")
    found = {(file.name, match[0]) for file in sources("resnet_core") for match in foreign.finditer(file.read_text())}
    assert found == set()


def test_science_uses_no_private_part_of_a_library_but_one() -> None:
    """Its tests notice when it changes. torch documents its functions `_foreach_…`."""
    private = {
        (file.name, node.attr)
        for file in sources("resnet_core")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and re.match(r"_(?!_|foreach_)", node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    }
    imports = {(file.name, name) for file in sources("resnet_core") for name in imported(file) if "._" in name}
    dispatch = "torch.utils._python_dispatch.TorchDispatchMode"  # documented, and there is no public name for it
    assert private | imports == {("training_step.py", dispatch)}


def test_science_is_made_faster_on_cpus_where_it_is_chosen_and_where_it_trains() -> None:
    found = {
        (file.name, name.removeprefix("resnet_core.cpu.").split(".")[0])
        for file in sources("resnet_core")
        for name in imported(file)
        if name.startswith("resnet_core.cpu") and file.parent.name != "cpu"
    }
    chosen = {("arithmetic_choice.py", module) for module in ("timing", "winograd", "weight_gradient", "batch_norm")}
    checked = ("training_step.py", "layers")  # by `check --device`
    assert found == chosen | {("train.py", "layers"), ("train.py", "memory"), checked}


def test_modules_are_short() -> None:
    long = {
        str(file.relative_to(REPOSITORY)): lines
        for package in ("jobs", "resnet_core")
        for file in sources(package)
        if (lines := len(file.read_text().splitlines())) > LONGEST
    }
    assert long == {}


def test_no_json_that_is_written_can_hold_a_number_that_is_not_finite() -> None:
    """NaN is no JSON: many readers refuse the whole file."""
    calls = [
        (file.name, node.lineno, {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords})
        for package in ("jobs", "resnet_core")
        for file in sources(package)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dumps", "json.dump")
    ]
    assert calls
    assert [call for call in calls if call[2].get("allow_nan") != "False"] == []


def test_what_others_have_written_is_read_by_readers_that_overlook_nothing() -> None:
    """`parse_json` and `parse_yaml` refuse a key given twice; what the libraries read otherwise, they have rendered."""
    own = {"validation.py", "core_yaml.py"}
    loose = re.compile(r"\b(json\.loads?|yaml\.(safe_)?load\w*|model_validate_json|parse_raw)\(")
    found = {
        (str(file.relative_to(REPOSITORY)), match[1])
        for package in ("jobs", "resnet_core")
        for file in sources(package)
        for match in loose.finditer(file.read_text())
        if file.name not in own
    }
    assert found == {
        ("jobs/queue/claimed_trial.py", "json.loads"),  # a slot's parameters, which `prepare` has written
        ("jobs/queue/trial_rows.py", "json.loads"),  # attributes of trials, as Optuna has written them
        ("jobs/runners/kubernetes/api.py", "json.loads"),  # the API server's answers
        ("jobs/runners/kubernetes/diagnosis.py", "json.loads"),  # the log of one of our pods
        ("jobs/runners/kubernetes/manifests.py", "yaml.safe_load"),  # what Helm has rendered
    }
