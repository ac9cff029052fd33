from pathlib import Path
from typing import Any

import pytest

from jobs.artifacts.keys import images_key
from jobs.experiment.experiment import RESERVED
from jobs.experiment.load import LONGEST_FILE, dump_experiment, load_experiment, parse_experiment
from jobs.runtime.errors import ConfigurationError
from resnet_core.validation import shown_key


def refusal(file: Path | None, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_experiment(None, file, list(overrides))
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.lr=true", "--set {}: a number expected"),
        ('training.lr="0.1"', "--set {}: a number expected"),
        ("training.lr=1:30", "--set {}: a number expected"),
        ("sweep.trials=yes", "--set {}: a number expected"),
        ("sweep.trials=1_000", "--set {}: a number expected"),
        ("sweep.trials=true", "--set {}: a number expected"),
        ("sweep.trials=1e9", "--set {}: at most 100,000 expected"),
        ("sweep.epochs=9007199254740993", "--set {}: at most 9,007,199,254,740,992 expected"),
        ("data.limit='10'", "--set {}: a number expected"),
        ("training.nesterov=yes", "--set {}: true or false expected"),
        ("training.nesterov=1", "--set {}: true or false expected"),
        ("evaluation.flip='true'", "--set {}: true or false expected"),
        ("pruning.amounts=['0.1']", "pruning.amounts.0='0.1': a number expected"),
        ("pruning.amounts=true", "--set {}: a list expected"),
        ("model.depths=2", "--set {}: a list expected"),
        ("training=null", "--set {}: keys with values expected: optimizer, lr, "),
        ("training=3", "--set {}: keys with values expected: optimizer, lr, "),
        ("data.title=3", "--set {}: text expected"),
        (r'data.title="\e[31mred"', "--set {}: text on one line expected, of characters that can be shown"),
        (r'data.title="\ud800"', "--set {}: text on one line expected"),
        (r'study.deviations=["a\nb"]', r"study.deviations.0='a\nb': text on one line expected"),
        ("searchSpace.lr.choices=[[1]]", "searchSpace.lr={low: "),
        ("searchSpace.lr={choices: [[[1]]]}", "searchSpace.lr.choices.0=[[1]]: text, a number, true, false, null or a list of these expected"),
        ("searchSpace.lr={choices: [[1]]}", "searchSpace.lr=[1]: a number expected"),
        ("searchSpace.model.widths={choices: ['[1, 2]']}", "searchSpace.model.widths.choices.0='[1, 2]': a list without quotation marks expected"),
        ("searchSpace.lr={choices: [.nan]}", "searchSpace.lr.choices.0=nan: text, a number"),
        ("searchSpace.lr={choices: [true]}", "searchSpace.lr=true: a number expected"),
        ("searchSpace.lr={low: true, high: 2}", "searchSpace.lr.low=true: a number expected"),
        ("searchSpace.lr={low: 0.1, high: .inf}", "searchSpace.lr.high=inf: a finite number expected"),
        ("searchSpace.lr={low: 0.1, high: 1, log: 1}", "searchSpace.lr.log=1: true or false expected"),
        ("searchSpace.lr={choices: [0.1], low: 0.1}", "--set {}: choices, or low and high: not both"),
        ("searchSpace.nesterov={choices: [true, 1]}", "searchSpace.nesterov.choices=[true, 1]: each value once"),
        ("searchSpace.schedule.warmupEpochs={low: 0, high: 15}", "searchSpace.schedule.warmupEpochs=15.0: training.schedule.warmupEpochs=15: less than the 8 epochs trained"),
        ("study.name=datasets", "--set {}: another name expected: the images of all studies lie there"),
        ("model.depths=[100000, 1]", "model.depths.0=100000: at most 200 expected"),
        ("training={lr: 1, lr: 2}", "--set training={lr: 1, lr: 2}: not YAML: line 1, column 9: lr: given twice"),
        ("training={lr: &a 1, ema: *a}", "--set training={lr: &a 1, ema: *a}: not YAML: line 1, column 17: an alias"),
        ("x" * 500 + "=1", "--set {}: unknown key"),
        ("training.lr=" + "x" * 500, "--set {}: a number expected"),
        ("training.lr=[" + "x" * 500, "--set training.lr=[" + "x" * 67 + "…: not YAML"),
        (".".join("a" * 5000) + "=1", "--set a.a.a."),
        ("\x1b[31m=1", "--set {}: unknown key"),
    ],
)  # fmt: skip
def test_value_of_another_type_is_refused_in_one_line(override: str, message: str) -> None:
    found = refusal(None, override)
    assert found.startswith(message.replace("{}", shown_key(override)))
    assert len(found) < 1000
    assert found.isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"training: {lr: 0.1}\nseed: 1\ntraining: {ema: 0.9}", "not YAML: line 3, column 1: training: given twice"),
        ("data: {title: Möwen}".encode("latin-1"), "not UTF-8: byte 16 is 0xf6"),
        ("seed: 1".encode("utf-16"), "not UTF-8: byte 1 is 0xff"),
        (b"#" * (LONGEST_FILE + 1), "longer than 1,048,576 bytes"),
        (b"[" * 10_000, "not YAML: line 1, column 33: deeper than 32 levels"),
        (b"extends: [a]", "extends=['a']: one of best, "),
        (b"extends: " + b"x" * 1000, "extends='" + "x" * 199 + "…: one of best, "),
        (b"- " * 20, "lines of key: value expected, of seed, study"),
    ],
    ids=str,
)  # fmt: skip
def test_file_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    assert message in refusal(file)
    assert str(file) in refusal(file)


def test_file_without_an_end_is_refused() -> None:
    assert refusal(Path("/dev/zero")) == "--config=/dev/zero: longer than 1,048,576 bytes"


def test_values_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "sweep: {trials: 010, maxHours: 1e1}\nseed: 0x10\nstudy: {name: no, deviations: [yes, 1:30]}\n",
        encoding="utf-8",
    )
    experiment = load_experiment(None, file, ["data.title=off", "sweep.epochs=+25"])
    assert (experiment.sweep.trials, experiment.sweep.max_hours, experiment.seed) == (10, 10.0, 16)
    assert (experiment.study.name, experiment.study.deviations) == ("no", ("yes", "1:30"))
    assert (experiment.data.title, experiment.sweep.epochs) == ("off", 25)


@pytest.mark.parametrize("title", ["1e5", "0o17", "yes", "1:30", "~", "010", ".5", "Möwen 海鷗", "a: b", "#1"])
def test_text_stays_text_in_the_stored_experiment(title: str) -> None:
    experiment = load_experiment("quick", None, [f"data.title='{title}'"])
    assert parse_experiment(dump_experiment(experiment)).data.title == title


def test_every_folder_beside_the_studies_is_reserved() -> None:
    assert images_key("digits", "train", "0" * 64).split("/")[0] in RESERVED


def leaves(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in leaves(value, f"{path}.{key}".removeprefix("."))]
    return [(path, tree)]


def test_no_field_takes_a_value_of_another_type() -> None:
    tree = load_experiment("quick", None, []).model_dump(mode="json")
    del tree["searchSpace"]
    for path, value in leaves(tree):
        for wrong in ("true", "'1'", "1", "text", "[]", "{}"):
            kind = {"true": bool, "'1'": str, "1": int, "text": str, "[]": list, "{}": dict}[wrong]
            if value is None or isinstance(value, kind) or (kind is int and isinstance(value, float)):
                continue
            with pytest.raises(ConfigurationError, match=rf"^(--set )?{path.split('.')[0]}"):
                load_experiment("quick", None, [f"{path}={wrong}"])


OPTIONAL_NUMBERS = [
    "data.limit", "data.limitTest", "sweep.maxHours", "sweep.maxGpuHours", "training.clipNorm",
    "training.schedule.periodEpochs", "pruning.target",
]  # fmt: skip


@pytest.mark.parametrize("path", OPTIONAL_NUMBERS)
@pytest.mark.parametrize("wrong", ["true", "'1'", "text"])
def test_no_number_that_may_be_null_takes_a_value_of_another_type(path: str, wrong: str) -> None:
    assert "a number expected" in refusal(None, f"{path}={wrong}")
