from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from jobs.experiment import Experiment, searchable_fields
from jobs.experiment_file import ConfigurationError, dump_experiment, load_experiment, parse_experiment, preset_names
from jobs.search_space import grid_points
from jobs.study import distributions

PRESETS = Path(__file__).parents[2] / "jobs/presets"


def paths(tree: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(tree, dict) and not prefix.startswith("searchSpace"):
        for key, value in tree.items():
            yield from paths(value, f"{prefix}.{key}".removeprefix("."))
    else:
        yield prefix


@pytest.mark.parametrize("name", preset_names())
def test_preset_gives_every_field(name: str) -> None:
    given = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    complete = load_experiment(name, None, []).model_dump(mode="json")
    assert sorted(paths(given)) == sorted(paths(complete))


@pytest.mark.parametrize("name", preset_names())
def test_experiment_survives_its_own_file(name: str) -> None:
    experiment = load_experiment(name, None, [])
    assert parse_experiment(dump_experiment(experiment)) == experiment


def test_paper_preset_is_the_published_experiment() -> None:
    paper = load_experiment("paper", None, [])
    assert paper.pruning.amounts == (0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3)
    assert (paper.sweep.trials, paper.sweep.epochs, paper.final_train.epochs) == (30, 25, 200)
    assert (paper.sweep.sampler.name, paper.sweep.early_stopping.name) == ("tpe", "none")
    space = distributions(paper)
    assert space["optimizer"] == CategoricalDistribution(("sgd", "rmsprop", "adam", "adadelta", "adagrad", "asgd"))
    assert space["lr"] == FloatDistribution(1e-5, 1e-1, log=True)
    assert space["batchSize"] == IntDistribution(64, 256)
    assert set(space) == {"optimizer", "momentum", "lr", "batchSize", "dropout"}
    assert paper.study.deviations


def test_study_is_named_after_its_preset_or_file(tmp_path: Path) -> None:
    assert load_experiment("quick", None, []).study_name == "quick"
    (tmp_path / "Mine.yaml").write_text("{}")
    assert load_experiment(None, tmp_path / "Mine.yaml", []).study_name == "mine"
    assert load_experiment("quick", None, ["study.name=other"]).study_name == "other"


def test_overrides_reach_nested_keys_and_searched_fields() -> None:
    overrides = [
        "sweep.trials=3",
        "training.lr=1e-3",
        "data.limit=null",
        "searchSpace.lr.low=1e-4",
        "searchSpace.momentum=null",
        "searchSpace.schedule.warmupEpochs={low: 0, high: 2}",
        "searchSpace.augmentation.erasing.choices=[0, 0.25]",
    ]
    experiment = load_experiment("paper", None, overrides)
    assert experiment.sweep.trials == 3
    assert experiment.training.lr == 1e-3
    space = distributions(experiment)
    assert space["lr"] == FloatDistribution(1e-4, 1e-1, log=True)
    assert "momentum" not in space
    assert space["schedule.warmupEpochs"] == FloatDistribution(0, 2)
    assert space["augmentation.erasing"] == CategoricalDistribution((0, 0.25))


def test_parameters_of_a_trial_are_put_into_recipe_and_pruning() -> None:
    experiment = load_experiment("paper", None, [])
    recipe, pruning = experiment.with_parameters(
        {"lr": 0.5, "schedule.name": "step", "pruning.roundTo": 8, "batchSize": 96}
    )
    assert (recipe.lr, recipe.schedule.name, recipe.batch_size) == (0.5, "step", 96)
    assert pruning.round_to == 8
    assert recipe.schedule.gamma == experiment.training.schedule.gamma


def test_every_searchable_field_is_found_again() -> None:
    experiment = Experiment()
    for name in searchable_fields():
        experiment.field_value(name, None if name in OPTIONAL else current(experiment, name))


OPTIONAL = ("clipNorm", "schedule.periodEpochs", "pruning.amounts", "pruning.target")


def current(experiment: Experiment, name: str) -> Any:
    tree: Any = experiment.model_dump()["pruning" if name.startswith("pruning.") else "training"]
    for part in name.removeprefix("pruning.").split("."):
        tree = tree[part]
    return tree


def test_grid_holds_every_combination() -> None:
    overrides = [
        "sweep.sampler.name=grid",
        "sweep.trials=6",
        "searchSpace={optimizer: {choices: [sgd, adam]}, dropout: {low: 0.0, high: 0.2, step: 0.1}}",
    ]
    points = grid_points(load_experiment("quick", None, overrides).search_space)
    assert len(points) == 6
    assert points[1] == {"optimizer": "sgd", "dropout": 0.1}
    assert {point["optimizer"] for point in points} == {"sgd", "adam"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sweep.trails=3", r"^sweep\.trails=3: unknown key; did you mean trials\? allowed: trials, epochs"),
        ("swep={}", r"^swep=\{\}: unknown key; did you mean sweep\? allowed: seed, study, data"),
        ("sweep.trials=0", r"^sweep\.trials=0: input should be greater than or equal to 1$"),
        ("searchSpace.lr={low: 0.1, high: 0.001}", r"^searchSpace\.lr\.low=0\.1: must be below high=0\.001$"),
        ("searchSpace.lr={low: 0, high: 1, log: true}", r"^searchSpace\.lr\.low=0: above 0 with log=true$"),
        ("searchSpace.lrr={low: 0, high: 1}", r"^searchSpace\.lrr=0\.0: no field of training or pruning: optimizer, lr"),
        ("searchSpace.optimizer={choices: [sgd, lion]}", r"^searchSpace\.optimizer='lion': Input should be 'sgd'"),
        ("searchSpace.batchSize.low=64.5", r"^searchSpace\.batchSize=64\.5: Input should be a valid integer"),
        ("searchSpace.nesterov={low: 0, high: 1}", r"^searchSpace\.nesterov: low and high are for numbers"),
        ("pruning.amounts=[1.0, 0, 0, 0, 0, 0, 0, 0]", r"^pruning\.amounts\.0=1\.0: input should be less than 1$"),
        ("pruning.amounts=[0.5]", r"^pruning\.amounts=\[0\.5\]: 8 values expected"),
        ("pruning.target=5", r"^pruning\.target=5: only with pruning\.method=target$"),
        ("training.lr=fast", r"^training\.lr='fast': input should be a valid number"),
        ("training.lr=.nan", r"^training\.lr=nan: input should be"),
        ("training.schedule.warmupEpochs=25", r"^training\.schedule\.warmupEpochs=25: less than the 25 epochs"),
        ("model.depths=[2, 2]", r"^model\.strides=\[1, 2, 2, 2\]: 2 values expected"),
        ("finalTrain={select: best, data: train+validation}", r"^finalTrain\.select=best: only with finalTrain\.data=train"),
        ("sweep.sampler.name=grid", r"^searchSpace\.momentum: sweep\.sampler\.name=grid needs a step or choices$"),
        ("study.name=No Spaces", r"^study\.name='No Spaces': string should match pattern"),
        ("sweep.trials", r"^--set sweep\.trials: key\.path=value expected$"),
        ("sweep.trials.x=1", r"^--set sweep\.trials\.x=1: trials holds a value, not keys$"),
        ("sweep.trials=[", r"^--set sweep\.trials=\[: not YAML"),
    ],
)  # fmt: skip
def test_bad_value_is_one_line_with_key_value_and_what_is_allowed(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        load_experiment("paper", None, [override])
    assert "\n" not in str(raised.value)


def test_every_fault_gets_its_line() -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_experiment("quick", None, ["sweep.trials=0", "training.lr=-1"])
    assert str(raised.value).splitlines() == [
        "training.lr=-1: input should be greater than 0",
        "sweep.trials=0: input should be greater than or equal to 1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not YAML"), ("- a", "a mapping with the keys seed, study"), ("trials: 3", "trials=3: unknown key")],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_experiment(None, tmp_path / "mine.yaml", [])


def test_missing_file_and_unknown_preset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: No such file"):
        load_experiment(None, tmp_path / "none.yaml", [])
    with pytest.raises(ConfigurationError, match=r"--preset=fast: one of .*paper.*quick"):
        load_experiment("fast", None, [])
