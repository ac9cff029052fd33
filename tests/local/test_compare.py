"""Studies set beside each other, from results as `evaluate` leaves them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.documents import write_document
from jobs.artifacts.keys import EXPERIMENT, METRICS, TRIAL_TABLE, model_key
from jobs.artifacts.manifest import write_manifest
from jobs.cli.main import main
from jobs.experiment.load import dump_experiment
from jobs.report.pages.figure_files import write_csv
from jobs.report.study.trial_table import trial_table
from resnet_core.shown_text import markdown
from tests.support.invented import STOPPED_EARLY, Ran, experiment, study_results

PUBLISHED = "study.published=[{what: somebody's, accuracy: 0.9312, parameters: 50000, where: {}}]"


def result(
    root: Path, name: str, *overrides: str, title: str = "invented digits", sha256: str = "aa", seeds: int = 1
) -> Path:
    """A finished study, as far as a comparison reads it."""
    ran = [Ran(accuracies=(0.2, 0.6)), Ran(STOPPED_EARLY, (0.1,)), Ran(accuracies=(0.2, 0.7))]
    study = study_results(experiment(f"study.name={name}", "sweep.trials=3", *overrides), ran, seeds=seeds)
    artifacts = FolderArtifacts(root / name)
    table = trial_table(study)
    write_csv(artifacts, TRIAL_TABLE, table.header, table.rows)
    artifacts.write_text(EXPERIMENT, dump_experiment(study.experiment))
    write_document(artifacts, METRICS, study.metrics)
    write_document(artifacts, model_key(0), study.model)
    part = {"key": "datasets/x", "sha256": sha256, "images": 300}
    artifacts.write_json(
        "dataset.json", {"title": title, "classes": ["0"], "image_size": 32, "train": part, "test": part}
    )
    write_manifest(artifacts)
    return artifacts.root


def compare(*results: Path, to: Path) -> int:
    return main(["compare", *map(str, results), "--to", str(to)])


def test_studies_of_one_data_set_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = result(tmp_path, "one", PUBLISHED)
    other = result(tmp_path, "other", "training.momentum=0.5", seeds=3)
    assert compare(one, other, to=tmp_path / "to") == 0
    verdict, page = capsys.readouterr().out.splitlines()
    assert verdict.startswith("other has the highest test accuracy")
    assert Path(page) == tmp_path / "to/compare.html"
    summary = (tmp_path / "to/compare.md").read_text()
    assert "| one | 67.7 % |" in summary
    assert "| 300 test images |" in summary
    assert "| 3 seeds |" in summary
    assert "| one | somebody's | 93.12 % | 50,000 |" in summary
    assert "| training.momentum | 0.9 | 0.5 |" in summary
    figures = {file.name for file in (tmp_path / "to/figures").iterdir()}
    assert figures == {
        f"{name}.{kind}" for name in ("accuracy-by-size", "best-over-trials") for kind in ("csv", "png", "svg")
    }
    assert "somebody&#39;s" in Path(page).read_text()


def test_studies_of_one_name_are_told_apart_by_their_places(tmp_path: Path) -> None:
    one, other = result(tmp_path / "a", "same"), result(tmp_path / "b", "same")
    assert compare(one, other, to=tmp_path / "to") == 0
    summary = (tmp_path / "to/compare.md").read_text()
    assert f"| {markdown(str(one))} |" in summary
    assert f"| {markdown(str(other))} |" in summary


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({}, {"title": "CIFAR-10"}, "the data set is invented digits and CIFAR-10"),
        ({}, {"sha256": "bb"}, "the sha256 of the test images is aa and bb"),
        ({"limit": 60}, {}, "data.limitTest is 60 and null"),
        ({"limit": 60, "seed": 1}, {"limit": 60}, "the seed that draws them is 1 and 0"),
    ],
    ids=["data set", "images", "limit", "seed"],
)
def test_studies_of_different_test_images_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: dict[str, str], second: dict[str, str], reason: str
) -> None:
    def study(name: str, limit: int | None = None, seed: int = 0, **dataset: str) -> Path:
        overrides = [f"seed={seed}"] if limit is None else [f"seed={seed}", f"data.limitTest={limit}"]
        return result(tmp_path, name, *overrides, **dataset)

    one, other = study("one", **first), study("other", **second)
    assert compare(one, other, to=tmp_path / "to") == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line == f"resnet-sweep: {one} and {other} cannot be compared, as they were tested on different images: {reason}"
    )
    assert not (tmp_path / "to").exists()


def test_study_is_not_compared_with_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = result(tmp_path, "one")
    assert compare(one, one, to=tmp_path / "to") == 78
    assert "given twice" in capsys.readouterr().err


def test_changed_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = result(tmp_path, "one"), result(tmp_path, "other")
    metrics = json.loads((other / METRICS).read_text())
    metrics["accuracy"]["mean"] = 0.99
    (other / METRICS).write_text(json.dumps(metrics))
    assert compare(one, other, to=tmp_path / "to") == 1
    assert f"{other}/{METRICS}: changed: " in capsys.readouterr().err
    (other / METRICS).unlink()
    assert compare(one, other, to=tmp_path / "to") == 1
    assert f"{other}/{METRICS}: missing" in capsys.readouterr().err


def test_unfinished_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = result(tmp_path, "one"), result(tmp_path, "other")
    (other / TRIAL_TABLE).unlink()
    write_manifest(FolderArtifacts(other))
    assert compare(one, other, to=tmp_path / "to") == 1
    assert f"{other}: its manifest names no {TRIAL_TABLE}" in capsys.readouterr().err
    (other / "manifest.json").unlink()
    assert compare(one, other, to=tmp_path / "to") == 1
    assert "a result is finished when it has one" in capsys.readouterr().err


def test_comparison_does_not_import_torch(tmp_path: Path) -> None:

    code = "import sys, jobs.report.compare.compare_page, jobs.cli.sweep_commands, jobs.cli.result_commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
