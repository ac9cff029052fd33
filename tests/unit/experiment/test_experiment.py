from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from jobs.experiment.confirmation import confirmation
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, load_experiment, parse_experiment, preset_names, preset_tree
from jobs.experiment.parameters import searchable_fields
from jobs.experiment.search_space import Choices, grid_points
from jobs.queue.study import distributions, suggest
from jobs.runtime.errors import ConfigurationError
from resnet_core.count import check_budget
from resnet_core.description import NetworkConfig
from resnet_core.pruning import planned_config
from resnet_core.seeds import derive_seed

PRESETS = Path(__file__).parents[3] / "jobs/experiment/presets"


def paths(tree: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(tree, dict) and not prefix.startswith("searchSpace"):
        for key, value in tree.items():
            yield from paths(value, f"{prefix}.{key}".removeprefix("."))
    else:
        yield prefix


@pytest.mark.parametrize("name", preset_names())
def test_preset_gives_every_field(name: str) -> None:
    given = preset_tree(name)
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
    own = experiment.with_parameters({"lr": 0.5, "schedule.name": "step", "pruning.roundTo": 8, "batchSize": 96})
    recipe = own.training
    assert (recipe.lr, recipe.schedule.name, recipe.batch_size) == (0.5, "step", 96)
    assert own.pruning.round_to == 8
    assert recipe.schedule.gamma == experiment.training.schedule.gamma


def test_every_searchable_field_is_found_again() -> None:
    experiment = Experiment()
    for name in searchable_fields():
        experiment.field_value(name, None if name in OPTIONAL else current(experiment, name))


OPTIONAL = ("clipNorm", "schedule.periodEpochs", "model.widths", "pruning.amounts", "pruning.target")


def current(experiment: Experiment, name: str) -> Any:
    tree: Any = experiment.model_dump()
    for part in (name if name.startswith(("model.", "pruning.")) else f"training.{name}").split("."):
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
        ("sweep.trails=3", r"^--set sweep\.trails=3: unknown key; did you mean trials\? allowed: trials, epochs"),
        ("swep={}", r"^--set swep=\{\}: unknown key; did you mean sweep\? allowed: seed, study, data"),
        ("sweep.trials=0", r"^--set sweep\.trials=0: at least 1 expected$"),
        ("searchSpace.lr={low: 0.1, high: 0.001}", r"^searchSpace\.lr\.low=0\.1: must be below high=0\.001$"),
        ("searchSpace.lr={low: 0, high: 1, log: true}", r"^searchSpace\.lr\.low=0: above 0 with log=true$"),
        ("searchSpace.lrr={low: 0, high: 1}", r"^searchSpace\.lrr=0\.0: no field of training, model or pruning: optimizer, lr"),
        ("searchSpace.optimizer={choices: [sgd, lion]}", r"^searchSpace\.optimizer='lion': one of sgd, "),
        ("searchSpace.batchSize.low=64.5", r"^searchSpace\.batchSize=64\.5: a whole number expected"),
        ("searchSpace.nesterov={low: 0, high: 1}", r"^searchSpace\.nesterov=0\.0: true or false expected$"),
        ("pruning.amounts=[1.0, 0, 0, 0, 0, 0, 0, 0]", r"^pruning\.amounts\.0=1\.0: below 1 expected$"),
        ("pruning.amounts=[0.5, 0.5]", r"^--set pruning\.amounts=\[0\.5, 0\.5\]: 8 values expected.* or one for all$"),
        ("pruning.target=5", r"^--set pruning\.target=5: null expected with pruning\.method=amounts$"),
        ("training.lr=fast", r"^--set training\.lr=fast: a number expected"),
        ("training.lr=.nan", r"^--set training\.lr=\.nan: a finite number expected$"),
        ("training.schedule.warmupEpochs=25", r"^--set training\.schedule\.warmupEpochs=25: less than the 25 epochs"),
        ("model.depths=[2, 2]", r"^model\.strides=\[1, 2, 2, 2\]: 2 values expected"),
        ("finalTrain={select: best, data: train+validation}", r"^finalTrain\.select=best: only with finalTrain\.data=train"),
        ("sweep.sampler.name=grid", r"^searchSpace\.momentum: sweep\.sampler\.name=grid needs a step or choices"),
        ("searchSpace.momentum={low: 0, high: 0.9, when: {optimiser: [sgd]}}", r"^searchSpace\.momentum\.when\.optimiser: optimiser is not searched; searched are optimizer, momentum"),
        ("searchSpace.momentum={low: 0, high: 0.9, when: {optimizer: [lion]}}", r"^searchSpace\.momentum\.when\.optimizer='lion': one of sgd, rmsprop"),
        ("searchSpace.momentum={low: 0, high: 0.9, when: {lr: [0.1]}}", r"^searchSpace\.momentum\.when\.lr: lr is a range; a condition needs choices$"),
        ("searchSpace.optimizer={choices: [sgd, adam], when: {optimizer: [sgd]}}", r"^searchSpace\.optimizer\.when: depends on itself$"),
        ("searchSpace.pruning.amounts.8={low: 0.1, high: 0.5}", r"^searchSpace\.pruning\.amounts\.8=0\.1: the network has 8 blocks, counted from 0$"),
        ("searchSpace.pruning.amounts={low: 0.1, high: 1.5}", r"^searchSpace\.pruning\.amounts=1\.5: below 1 expected$"),
        ("searchSpace.pruning.method={choices: [amounts, target]}", r"^searchSpace\.pruning\.method='target': pruning\.target: needed with"),
        ("sweep.objectives=[parameters, accuracy]", r"^--set sweep\.objectives=\[parameters, accuracy\]: accuracy, then parameters or macs"),
        ("sweep.objectives=[accuracy, speed]", r"^sweep\.objectives\.1='speed': one of accuracy, parameters, macs expected$"),
        ("sweep={objectives: [accuracy, macs], earlyStopping: {name: median}}", r"^sweep\.earlyStopping\.name=median: none with two of sweep\.objectives="),
        ("sweep={objectives: [accuracy, macs], earlyStopping: {name: none}, sampler: {name: cmaes}}", r"^sweep\.sampler\.name=cmaes: tpe, gp, random, grid or manual with two"),
        ("sweep.configurations=[{lr: 0.1}]", r"^sweep\.configurations: 1 given, but only with sweep\.sampler\.name=manual$"),
        ("sweep={trials: 2, sampler: {name: manual}, configurations: [{lr: 0.1}]}", r"^sweep\.trials=2: sweep\.configurations has 1$"),
        ("sweep={trials: 1, sampler: {name: manual}, configurations: [{lr: 0.1}]}", r"^searchSpace: empty with sweep\.sampler\.name=manual"),
        ("study.published=[{what: x, accuracy: 0.9, where: {nesterov: true}}]", r"^study\.published\.0\.where\.nesterov: not searched, so no trial has it$"),
        ("study.published=[{what: x, accuracy: 0.9, wher: {}}]", r"^study\.published\.0\.wher=\{\}: unknown key; did you mean where\? allowed: what, accuracy, parameters, where$"),
        ("searchSpace.lr={low: 0.1, high: 1, stp: 0.1}", r"^searchSpace\.lr\.stp=0\.1: unknown key; did you mean step\? allowed: choices, when, low, high, log, step$"),
        ("study.name=No Spaces", r"^--set study\.name=No Spaces: 1 to 63 of a-z, 0-9 and - expected"),
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
        "--set training.lr=-1: above 0 expected",
        "--set sweep.trials=0: at least 1 expected",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- a", "lines of key: value expected, of seed, study"),
        ("trials: 3", "trials=3: unknown key"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_experiment(None, tmp_path / "mine.yaml", [])


def test_missing_file_and_unknown_preset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: No such file"):
        load_experiment(None, tmp_path / "none.yaml", [])
    with pytest.raises(ConfigurationError, match=r"--preset=slow: one of .*paper.*quick"):
        load_experiment("slow", None, [])


CONDITIONAL = (
    "searchSpace={momentum: {low: 0.5, high: 0.9, step: 0.4, when: {optimizer: [sgd, rmsprop]}}, "
    "nesterov: {choices: [true, false], when: {optimizer: [sgd], schedule.name: [step]}}, "
    "optimizer: {choices: [sgd, rmsprop, adam]}, schedule.name: {choices: [cosine, step]}}"
)


def test_grid_has_a_conditional_parameter_only_where_its_condition_is_met() -> None:
    experiment = load_experiment("quick", None, [CONDITIONAL, "sweep.sampler.name=grid", "sweep.trials=12"])
    points = experiment.fixed_parameters()
    assert len(points) == 12
    assert all(("momentum" in point) == (point["optimizer"] != "adam") for point in points)
    assert sum("nesterov" in point for point in points) == 4
    assert points[0] == {"momentum": 0.5, "optimizer": "sgd", "schedule.name": "cosine"}


def test_trials_have_a_conditional_parameter_only_where_its_condition_is_met() -> None:
    experiment = load_experiment("quick", None, [CONDITIONAL])
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=5, seed=0))
    seen = set()
    for number in range(40):
        trial = study.ask()
        parameters = suggest(trial, experiment, {})
        assert parameters == trial.params
        assert ("momentum" in parameters) == (parameters["optimizer"] in ("sgd", "rmsprop"))
        nested = parameters["optimizer"] == "sgd" and parameters["schedule.name"] == "step"
        assert ("nesterov" in parameters) == nested
        seen.add(tuple(sorted(parameters)))
        experiment.with_parameters(parameters)
        study.tell(trial, number)
    assert len(seen) == 3


def test_configurations_of_a_list_are_run_as_given() -> None:
    experiment = load_experiment("paper-manual", None, [])
    fixed = experiment.fixed_parameters()
    assert fixed[3] == {"optimizer": "adam", "lr": 0.001}
    study = optuna.create_study()
    for given in [*fixed, {}]:
        trial = study.ask()
        trial.storage.set_trial_system_attr(trial._trial_id, "fixed_params", given)
        trial = optuna.trial.Trial(study, trial._trial_id)
        assert suggest(trial, experiment, given) == given


def test_schedulers_are_a_grid_over_one_field() -> None:
    experiment = load_experiment("paper-schedulers", None, [])
    assert experiment.fixed_parameters() == [{"schedule.name": n} for n in ("cosine", "linear", "step", "cyclic")]
    published = {value.where["schedule.name"]: value.accuracy for value in experiment.study.published}
    assert published == {"cosine": 0.9134, "linear": 0.885, "step": 0.8565, "cyclic": 0.9044}


def test_pruning_can_be_searched_by_a_common_amount_by_blocks_and_by_method() -> None:
    common = load_experiment("paper", None, ["searchSpace={pruning.amounts: {low: 0.1, high: 0.6}}"])
    assert distributions(common) == {"pruning.amounts": FloatDistribution(0.1, 0.6)}
    assert common.with_parameters({"pruning.amounts": 0.3}).pruning.amounts == (0.3,)
    blocks = load_experiment(
        "paper", None, ["searchSpace.pruning.amounts.0={low: 0, high: 0.5}", "searchSpace.pruning.amounts.7.high=0.9", "searchSpace.pruning.amounts.7.low=0.2"]
    )  # fmt: skip
    amounts = blocks.with_parameters({"pruning.amounts.0": 0.5, "pruning.amounts.7": 0.9}).pruning.amounts
    assert amounts == (0.5, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.9)
    methods = load_experiment(
        "paper",
        None,
        [
            "searchSpace={pruning.method: {choices: [none, amounts, target]}, "
            "pruning.amounts: {low: 0.1, high: 0.5, when: {pruning.method: [amounts]}}, "
            "pruning.target: {low: 1000000, high: 4990000, when: {pruning.method: [target]}}}"
        ],
    )
    assert isinstance(distributions(methods)["pruning.target"], IntDistribution)
    assert methods.with_parameters({"pruning.method": "none"}).pruning.amounts is None
    assert methods.with_parameters({"pruning.method": "target", "pruning.target": 2_000_000}).pruning.amounts is None


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [("paper", 4_493_525), ("paper-removed", 2_777_674), ("paper-schedulers", 4_493_525), ("paper-manual", 4_493_525), ("best", 4_327_754), ("best-small", 2_768_890), ("fast", 4_818_858)],
)  # fmt: skip
def test_preset_is_within_its_budget(preset: str, parameters: int) -> None:
    experiment = load_experiment(preset, None, [])
    network = planned_config(NetworkConfig.from_model(experiment.model, 10), experiment.pruning)
    assert check_budget(network, experiment.budget.parameters) == parameters


def test_file_extends_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: paper\ntraining: {lr: 2e-2}\nsearchSpace: {lr: null, momentum: {choices: [0.9]}}\n")
    experiment = load_experiment(None, file, [])
    assert experiment.study_name == "mine"
    assert (experiment.training.lr, experiment.training.weight_decay) == (0.02, 5e-4)
    assert set(experiment.search_space) == {"optimizer", "momentum", "batchSize", "dropout"}
    assert experiment.search_space["momentum"] == Choices(choices=(0.9,))
    file.write_text("extends: papers")
    with pytest.raises(ConfigurationError, match=r"mine\.yaml: extends='papers': one of best, best-small, fast, paper"):
        load_experiment(None, file, [])


def test_numbers_need_no_dot(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("searchSpace: {weightDecay: {choices: [1e-5, 5E-4, .5e-2, 0]}}")
    assert load_experiment(None, file, []).search_space["weightDecay"] == Choices(choices=(1e-5, 5e-4, 5e-3, 0))


def test_confirmation_is_the_sweep_again_with_other_seeds_to_the_last_epoch() -> None:
    sweep = load_experiment("quick", None, ["sweep.confirm={trials: 3, seeds: 2}"])
    again = confirmation(sweep)
    assert again.study_name == "quick/confirm"
    assert again.seed != sweep.seed
    assert again.sweep.early_stopping.name == "none"
    assert (again.sweep.epochs, again.training, again.searched) == (sweep.sweep.epochs, sweep.training, sweep.searched)
    assert not {derive_seed(again.seed, slot) for slot in range(1000)} & {derive_seed(0, slot) for slot in range(1000)}


@pytest.mark.parametrize(
    ("confirm", "line"),
    [
        ("{trials: 13, seeds: 2}", "sweep.confirm.trials=13: at most sweep.trials=12"),
        ("{trials: 0, seeds: 2}", "sweep.confirm.trials=0: at least 1 expected"),
        ("{trials: 3}", "sweep.confirm.seeds"),
        ("{trials: 3, seeds: 2, more: 1}", "sweep.confirm.more"),
        ("3", "--set sweep.confirm=3: keys with values expected: trials, seeds"),
    ],
)
def test_wrong_confirmations_are_one_line_that_names_the_key(confirm: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_experiment("quick", None, [f"sweep.confirm={confirm}"])
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)
