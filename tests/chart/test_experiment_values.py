from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.generate import CHART, experiment_schema, generated_files
from jobs.experiment.core_yaml import parse_yaml
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, load_experiment, preset_names
from jobs.experiment.parameters import searchable_fields
from tests.support.helm import EVERYTHING, Helm, Refused, Rendered


def load(rendered: Rendered, folder: Path) -> Experiment:
    """As a stage does."""
    file = folder / "experiment.yaml"
    file.write_text(rendered.experiment_file())
    return load_experiment(None, file, [])


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_arrives_as_it_is(helm: Helm, tmp_path: Path, preset: str) -> None:
    rendered = helm.render(f"--values={CHART}/experiments/{preset}.yaml")
    assert load(rendered, tmp_path) == load_experiment(preset, None, ["study.name=run1"])


def test_the_default_is_quick(defaults: Rendered, tmp_path: Path) -> None:
    assert load(defaults, tmp_path) == load_experiment("quick", None, ["study.name=run1"])


def test_the_study_has_the_name_that_it_is_given(everything: Rendered, tmp_path: Path) -> None:
    assert load(everything, tmp_path).study_name == "digits-again"


def test_a_release_with_a_dot_in_its_name_can_name_a_study(helm: Helm, tmp_path: Path) -> None:
    assert load(helm.render(release="digits.v2"), tmp_path).study_name == "digits-v2"


@pytest.mark.parametrize(
    "value", [1e-5, 1e-7, 2.5e-9, 1e-300, 0.1, 0.30000000000000004, 5_000_000, 5_000_000.0, 123456789.5, 1e22, 3e29]
)
def test_numbers_arrive_as_they_are(helm: Helm, tmp_path: Path, value: float) -> None:
    changes: dict[str, Any] = {
        "training": {"lr": value, "clipNorm": value},
        "searchSpace": {"lr": None, "weightDecay": {"choices": [value, value / 2, 0.5]}},
        "sweep": {"maxHours": value},
    }
    experiment = load(helm.render(values={"experiment": changes}), tmp_path)
    assert experiment.training.lr == experiment.training.clip_norm == experiment.sweep.max_hours == value
    decay = experiment.search_space["weightDecay"].model_dump()["choices"]
    assert decay == (value, value / 2, 0.5)
    assert all(isinstance(choice, int | float) for choice in decay)


def test_strings_that_look_like_numbers_stay_strings(helm: Helm) -> None:
    notes = ["1e-05", "lr: 1e-05", "- 1e-05", "1e5", "true", "null", "a\nb: 1", "x" * 200 + " 1e-05"]
    notes += ["yes", "No", "y", "1:30", "010", "0o17", "0x1f", "1_000", ".5", "~", "", "=", "<<", "2024-01-01", ".inf"]
    text = helm.render(values={"experiment": {"study": {"deviations": notes}}}).experiment_file()
    assert parse_yaml(text)["study"]["deviations"] == notes


def test_null_takes_a_parameter_out(helm: Helm, tmp_path: Path) -> None:
    rendered = helm.render("--set=experiment.searchSpace.dropout=null,experiment.searchSpace.momentum=null")
    assert set(load(rendered, tmp_path).search_space) == {"optimizer", "lr", "batchSize"}


def test_a_range_can_become_choices(helm: Helm, tmp_path: Path) -> None:
    choices = {"low": None, "high": None, "step": None, "choices": [32, 64]}
    rendered = helm.render(values={"experiment": {"searchSpace": {"batchSize": choices}}})
    assert load(rendered, tmp_path).search_space["batchSize"].model_dump() == {"choices": (32, 64), "when": None}


def test_the_chart_takes_whatever_the_processes_take(helm: Helm, tmp_path: Path) -> None:
    """Every field given, as `dump_experiment` writes it, and every name that can be searched."""
    experiment = load_experiment("paper", None, ["study.name=run1", "data.limit=1000", "training.clipNorm=1"])
    tree = yaml.safe_load(dump_experiment(experiment))
    tree["searchSpace"]["batchSize"]["step"] = None
    assert load(helm.render(values={"experiment": tree}), tmp_path) == experiment
    section = experiment_schema()["experiment.Experiment"]["properties"]["searchSpace"]
    assert list(section["properties"]) == searchable_fields()


def test_what_is_written_from_the_model_is_up_to_date() -> None:
    stale = [name for name, text in generated_files().items() if (CHART / name).read_text() != text]
    assert stale == [], "python charts/generate.py writes them"
    presets = {f"{name}.yaml" for name in preset_names()}
    assert {file.name for file in (CHART / "experiments").iterdir()} == presets


def test_the_upgrade_check_sees_the_new_experiment(helm: Helm) -> None:
    rendered = helm.render("--is-upgrade", f"--values={EVERYTHING}", "--set=experiment.sweep.trials=24")
    hook = rendered.one("ConfigMap", "run1-upgrade")
    assert hook["data"]["experiment.yaml"] == rendered.experiment_file()


def test_a_large_trial_count_is_not_written_as_a_float(helm: Helm) -> None:
    text = helm.render("--set=experiment.budget.parameters=5000000").experiment_file()
    assert "parameters: 5000000\n" in text
    with pytest.raises(Refused):
        helm.render("--set-json=experiment.budget.parameters=5000000.5")
