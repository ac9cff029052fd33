"""The folders show the architecture, and it stays so."""

import ast
from collections.abc import Iterator
from pathlib import Path

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


def test_modules_are_short() -> None:
    long = {
        str(file.relative_to(REPOSITORY)): lines
        for package in ("jobs", "resnet_core")
        for file in sources(package)
        if (lines := len(file.read_text().splitlines())) > LONGEST
    }
    assert long == {}
