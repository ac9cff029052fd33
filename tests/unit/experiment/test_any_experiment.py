"""Whatever is put in: one clear line for each fault, or an experiment that keeps what it promises."""

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import optuna
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jobs.cli.exit_codes import EXIT_CONFIGURATION
from jobs.cli.main import main
from jobs.experiment.core_yaml import dump_yaml
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, load_experiment, parse_experiment, preset_names, preset_tree
from jobs.experiment.parameters import searchable_fields
from jobs.experiment.search_space import Choices, Range, SearchSpace, grid_points, is_active
from jobs.queue.optuna_values import stored_parameters
from jobs.queue.study import suggest
from jobs.runtime.errors import ConfigurationError
from resnet_core.build import planned_network
from resnet_core.config import ModelConfig
from resnet_core.count import count_parameters
from resnet_core.description import NetworkConfig
from resnet_core.pruning import TargetOutOfReach
from resnet_core.schedule import lr_factor

LONGEST_LINE = 1500  # the names of all fields that can be searched take half of it


pytestmark = pytest.mark.usefixtures("quiet_optuna")


def examples(count: int) -> hypothesis.settings:
    """The fixtures are a folder, whose file each example writes anew, and what was printed. CI derandomizes."""
    return hypothesis.settings(
        max_examples=count, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def load(file: Path, capsys: pytest.CaptureFixture[str]) -> Experiment | None:
    """The experiment; None where it is refused as it should be."""
    try:
        return load_experiment(None, file, [])
    except ConfigurationError as error:
        message = check_lines(error)
    runs = file.parent / "runs"
    assert main(["local", "--config", str(file), "--runs", str(runs)]) == EXIT_CONFIGURATION
    assert capsys.readouterr().err == f"resnet-sweep: {message}\n"
    assert not runs.exists()
    return None


def check_lines(error: ConfigurationError) -> str:
    lines = str(error).splitlines()
    assert lines
    assert all(line.isprintable() and len(line) < LONGEST_LINE for line in lines)
    return str(error)


def check(experiment: Experiment, trials: int = 5) -> None:
    stored = dump_experiment(experiment)
    again = parse_experiment(stored)
    assert again == experiment
    assert dump_experiment(again) == stored
    json.dumps(experiment.model_dump(mode="json"), allow_nan=False)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    fixed = experiment.fixed_parameters()
    assert len(fixed) == experiment.sweep.trials
    for given_parameters in fixed[:trials]:
        template = optuna.trial.create_trial(
            state=optuna.trial.TrialState.WAITING, system_attrs={"fixed_params": stored_parameters(given_parameters)}
        )
        study.add_trial(template)
        parameters = suggest(study.ask(), experiment, given_parameters)
        check_trial(experiment, parameters, given_parameters)


def check_trial(experiment: Experiment, parameters: dict[str, Any], given_parameters: dict[str, Any]) -> None:
    json.dumps(parameters, allow_nan=False)
    own = experiment.with_parameters(parameters)
    assert ModelConfig.model_validate(own.model.model_dump()) == own.model
    assert NetworkConfig.from_model(own.model, 10).stages
    with suppress(TargetOutOfReach):  # which `prepare` finds when it knows the classes
        assert count_parameters(planned_network(own.model, own.pruning, 10)) > 0
    epochs = experiment.sweep.epochs
    for step in (0, 1, 10 * epochs - 1):
        assert 0 <= lr_factor(own.training.schedule, step, 10, epochs) <= 1
    if experiment.sweep.sampler.is_fixed:
        assert parameters == given_parameters
    else:
        assert set(parameters) == {n for n, p in experiment.search_space.items() if is_active(p, parameters)}
    for name, value in parameters.items():
        match experiment.searched[name]:
            case Choices(choices=choices):
                assert any(value is choice or value == choice for choice in choices)
            case Range() as parameter:
                assert parameter.low <= value <= parameter.high
                if parameter.step is not None:
                    steps = (value - parameter.low) / parameter.step
                    assert steps == pytest.approx(round(steps), abs=1e-6)


NASTY: list[Any] = [
    None, True, False, 0, 1, -1, 3, 2.5, 5e-324, 1e308, -1e308, float("nan"), float("inf"), 2**53, 2**53 + 1, 10**30, 10**400,
    "", "3", "yes", "1:30", "1e5", "true", "x" * 1000, "\x1b[31m", "\0", "\n", "\u202e", "[/x]", "<script>", "~nobody/here", "datasets", "../..",
    [], {}, [[]], [None], [1, "a"], ["x"] * 300, {"a": 1}, {"x" * 1000: 1}, {"\x1b": 1}, {"choices": [1], "low": 0}, {"low": 0, "high": 1, "step": 3},
]  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in a tree."""
    entries = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    return [path] * bool(path) + [place for key, value in entries for place in places(value, (*path, key))]


def spoilt(tree: dict[str, Any], where: int, how: str, key: str, value: Any) -> None:
    found = places(tree)
    if not found:
        return
    *sections, last = found[where % len(found)]
    section: Any = tree
    for name in sections:
        section = section[name]
    if how == "replace":
        section[last] = copy.deepcopy(value)
    elif how == "remove":
        del section[last]
    elif isinstance(section, dict):
        section[key] = copy.deepcopy(value)


spoilings = st.tuples(
    st.integers(0, 999),
    st.sampled_from(["replace", "replace", "remove", "add"]),
    st.sampled_from(["low", "nam", "x" * 500, "\x1b[2J", "a.b", ""]),
    st.sampled_from(NASTY),
)


@examples(100)
@given(preset=st.sampled_from(preset_names()), changes=st.lists(spoilings, min_size=1, max_size=3))
def test_a_preset_with_wrong_values_is_refused_or_good(
    file: Path, capsys: pytest.CaptureFixture[str], preset: str, changes: list[tuple[int, str, str, Any]]
) -> None:
    tree = preset_tree(preset)
    for change in changes:
        spoilt(tree, *change)
    file.write_text(dump_yaml(tree), encoding="utf-8")
    experiment = load(file, capsys)
    if experiment is not None:
        check(experiment)


@examples(60)
@given(content=st.binary(max_size=40) | st.text("{}[]:,-&*!|>'\"%@`#? \n\tab01.~", max_size=40).map(str.encode))
def test_any_bytes_are_refused_or_good(file: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    file.write_bytes(content)
    experiment = load(file, capsys)
    if experiment is not None:
        check(experiment)


@examples(60)
@given(
    path=st.text(st.sampled_from("abct.{}[]"), max_size=8)
    | st.sampled_from(["sweep.trials", "searchSpace.lr.low", "training"]),
    value=st.text(max_size=12) | st.sampled_from(NASTY).map(repr),
)
def test_any_override_is_refused_in_lines_or_good(path: str, value: str) -> None:
    try:
        experiment = load_experiment("quick", None, [f"{path}={value}"])
    except ConfigurationError as error:
        check_lines(error)
    else:
        check(experiment)


ALLOWED: dict[str, list[Any]] = {
    "optimizer": ["sgd", "adam", "asgd"],
    "schedule.name": ["cosine", "step", "cyclic"],
    "augmentation.policy": ["none", "trivialaugment"],
    "precision": ["auto", "fp32"],
    "pruning.method": ["none", "amounts", "target"],
    "pruning.importance": ["l1", "random", "taylor"],
    **{name: [True, False] for name in ("nesterov", "decayNormAndBias", "augmentation.flip")},
}
ENTRIES = [f"{name}.{index}" for name in ("pruning.amounts", "model.depths", "model.widths") for index in (0, 1, 9)]
OF_PRUNING = [name for name in searchable_fields() if name.startswith("pruning.")]
OF_MODEL = [name for name in searchable_fields() if name.startswith("model.")]
of_network = st.sampled_from(OF_PRUNING + ENTRIES) | st.sampled_from(OF_MODEL)  # they have rules of their own
steps = st.sampled_from([0.05, 0.1, 0.3, 0.5, 1, 2, 8]) | st.floats(1e-3, 1)


def allowed_values(name: str) -> st.SearchStrategy[Any]:
    if name in ALLOWED:
        return st.sampled_from(ALLOWED[name])
    if name in ("model.depths", "model.widths", "model.strides"):  # mostly for the three stages of `quick`
        most = 3 if name == "model.strides" else 4
        lists = st.sampled_from([3, 3, 3, 2]).flatmap(lambda n: st.lists(st.integers(1, most), min_size=n, max_size=n))
        return lists | st.just(None) if name == "model.widths" else lists
    if name.startswith("model."):
        return st.integers(1, 8) | st.sampled_from([2.0, 2.5])
    if name == "pruning.amounts":
        return st.sampled_from([0, 0.3, 0.9]) | st.lists(st.sampled_from([0, 0.5]), min_size=3, max_size=4)
    if name.endswith(("batchSize", "roundTo", "cropPadding", "target")):
        return st.integers(2, 32) | st.sampled_from([2.0, 30_000, 2.5])
    return st.sampled_from([0, 0.05, 0.1, 0.3, 0.7, 0.9, 1]) | st.floats(1e-6, 1)


@st.composite
def spaces(draw: st.DrawFn, names: st.SearchStrategy[str]) -> dict[str, Any]:
    """Parameters that are mostly of the right kind, some with a condition that is mostly possible."""
    space: dict[str, Any] = {}
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        values = allowed_values(name)
        drawn = draw(st.lists(values, min_size=1, max_size=3, unique_by=repr))
        parameter: dict[str, Any] = {"choices": drawn}
        if name not in ALLOWED and len(drawn) == 2 and all(isinstance(value, int | float) for value in drawn):
            low, high = sorted(drawn)
            parameter = {"low": low, "high": high} | draw(st.sampled_from([{}, {"log": True}, {"step": draw(steps)}]))
        conditions = [other for other, known in space.items() if "choices" in known]
        if conditions and draw(st.booleans()):
            other = draw(st.sampled_from(conditions))
            parameter["when"] = {other: [draw(st.sampled_from(space[other]["choices"]))]}
        space[name] = parameter
    return space


mostly = st.sampled_from([True, True, True, False])


@st.composite
def network_spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Networks of three stages, as `quick` has, and of two; many of these spaces hold only networks that can be."""
    lengths = draw(st.sampled_from([[3], [3, 3], [3, 2], [2, 3]]))

    def lists(length: int) -> list[list[int]]:
        values = st.lists(st.integers(1, 4), min_size=length, max_size=length)
        return draw(st.lists(values, min_size=1, max_size=2, unique_by=repr))

    depths = [lists(length)[0] for length in lengths]
    space: dict[str, Any] = {"model.depths": {"choices": depths}}
    for name in ("model.strides", "model.widths", "pruning.amounts"):
        chosen = draw(st.sampled_from(sorted(depths, key=len)))
        values: list[Any] = lists(len(chosen)) if name != "pruning.amounts" else [0.2, [0.1] * sum(chosen)]
        parameter = {"choices": values} | ({"when": {"model.depths": [chosen]}} if draw(mostly) else {})
        if draw(mostly):
            space[name] = parameter
    entry = draw(st.sampled_from(["model.widths.0", "model.strides.1", "pruning.amounts.1", None, None, None]))
    if entry is not None:
        condition = space.pop(entry[:-2], {}).get("when")
        space[entry] = ({"low": 0.1, "high": 0.5} if entry.startswith("pruning") else {"low": 1, "high": 3}) | (
            {"when": condition} if condition else {}
        )
    return space


@examples(60)
@given(
    space=network_spaces(),
    sampler=st.sampled_from(["random", "tpe", "grid"]),
    amounts=st.sampled_from([[0.3], [0.3], [0, 0.1, 0.2]]),
)
def test_whatever_network_a_good_search_space_suggests_can_be_built(
    file: Path, capsys: pytest.CaptureFixture[str], space: dict[str, Any], sampler: str, amounts: list[float]
) -> None:
    pruned = any(name.startswith("pruning.") for name in space)
    pruning = {"method": "amounts", "amounts": amounts} if pruned else {}
    tree = preset_tree("quick") | {"searchSpace": space, "pruning": pruning}
    tree["sweep"] |= {"trials": points(space) if sampler == "grid" else 40, "sampler": {"name": sampler}}
    file.write_text(dump_yaml(tree), encoding="utf-8")
    experiment = load(file, capsys)
    hypothesis.event("good" if experiment else "refused")
    if experiment is not None:
        check(experiment, trials=40)


@examples(120)
@given(
    space=spaces(st.sampled_from(searchable_fields()) | of_network) | spaces(of_network),
    sampler=st.sampled_from(["tpe", "random", "gp", "cmaes", "grid"]),
    pruning=st.sampled_from([{}, {"method": "amounts", "amounts": [0.3]}, {"method": "target", "target": 30_000}]),
)
def test_whatever_a_good_search_space_suggests_lies_in_it(
    file: Path, capsys: pytest.CaptureFixture[str], space: dict[str, Any], sampler: str, pruning: dict[str, Any]
) -> None:
    tree = preset_tree("quick") | {"searchSpace": space, "pruning": pruning}
    tree["sweep"] |= {"trials": 5, "sampler": {"name": sampler}}
    if sampler == "grid":
        tree["sweep"]["trials"] = points(space)
    file.write_text(dump_yaml(tree), encoding="utf-8")
    experiment = load(file, capsys)
    network = "network " if any(name.startswith("model.") for name in space) else ""
    hypothesis.event(f"{network}good" if experiment else f"{network}refused")
    if experiment is not None:
        check(experiment)


def points(space: dict[str, Any]) -> int:
    """How many a grid has, if it is one."""
    try:
        return len(grid_points(TypeAdapter(SearchSpace).validate_python(space)))
    except ValueError:
        return 5
