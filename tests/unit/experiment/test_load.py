from pathlib import Path
from typing import Any

import pytest

from jobs.artifacts.keys import images_key
from jobs.experiment.experiment import RESERVED
from jobs.experiment.load import LONGEST_FILE, dump_experiment, load_experiment, parse_experiment
from jobs.runtime.errors import ConfigurationError


def refusal(file: Path | None, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_experiment(None, file, list(overrides))
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.lr=true", "training.lr=True: input should be a valid number"),
        ('training.lr="0.1"', "training.lr='0.1': input should be a valid number"),
        ("training.lr=1:30", "training.lr='1:30': input should be a valid number"),
        ("sweep.trials=yes", "sweep.trials='yes': input should be a valid number"),
        ("sweep.trials=1_000", "sweep.trials='1_000': input should be a valid number"),
        ("sweep.trials=true", "sweep.trials=True: input should be a valid number"),
        ("sweep.trials=1e9", "sweep.trials=1000000000.0: input should be less than or equal to 100000"),
        ("sweep.epochs=9007199254740993", "sweep.epochs=9007199254740993: input should be at most 9007199254740992"),
        ("data.limit='10'", "data.limit='10': input should be a valid number"),
        ("training.nesterov=yes", "training.nesterov='yes': input should be a valid boolean"),
        ("training.nesterov=1", "training.nesterov=1: input should be a valid boolean"),
        ("evaluation.flip='true'", "evaluation.flip='true': input should be a valid boolean"),
        ("pruning.amounts=['0.1']", "pruning.amounts.0='0.1': input should be a valid number"),
        ("pruning.amounts=true", "pruning.amounts=True: a list expected"),
        ("model.depths=2", "model.depths=2: a list expected"),
        ("training=null", "training=None: keys with values expected: optimizer, lr, "),
        ("training=3", "training=3: keys with values expected: optimizer, lr, "),
        ("data.title=3", "data.title=3: input should be a valid string"),
        (r'data.title="\e[31mred"', r"data.title='\x1b[31mred': input should be text on one line, of characters that can be shown"),
        (r'data.title="\ud800"', r"data.title='\ud800': input should be text on one line"),
        (r'study.deviations=["a\nb"]', r"study.deviations.0='a\nb': input should be text on one line"),
        ("searchSpace.lr.choices=[[1]]", "searchSpace.lr={'low': "),
        ("searchSpace.lr={choices: [[[1]]]}", "searchSpace.lr.choices.0=[[1]]: input should be text, a number, true, false, null or a list of these"),
        ("searchSpace.lr={choices: [[1]]}", "searchSpace.lr=[1]: Input should be a valid number"),
        ("searchSpace.model.widths={choices: ['[1, 2]']}", "searchSpace.model.widths.choices.0='[1, 2]': input should be a list without quotation marks"),
        ("searchSpace.lr={choices: [.nan]}", "searchSpace.lr.choices.0=nan: input should be text, a number"),
        ("searchSpace.lr={choices: [true]}", "searchSpace.lr=True: Input should be a valid number"),
        ("searchSpace.lr={low: true, high: 2}", "searchSpace.lr.low=True: input should be a valid number"),
        ("searchSpace.lr={low: 0.1, high: .inf}", "searchSpace.lr.high=inf: input should be a finite number"),
        ("searchSpace.lr={low: 0.1, high: 1, log: 1}", "searchSpace.lr.log=1: input should be a valid boolean"),
        ("searchSpace.lr={choices: [0.1], low: 0.1}", "searchSpace.lr={'choices': [0.1], 'low': 0.1}: choices, or low and high: not both"),
        ("searchSpace.nesterov={choices: [true, 1]}", "searchSpace.nesterov.choices=[True, 1]: each value once"),
        ("searchSpace.schedule.warmupEpochs={low: 0, high: 15}", "searchSpace.schedule.warmupEpochs=15.0: training.schedule.warmupEpochs=15: less than the 8 epochs trained"),
        ("study.name=datasets", "study.name='datasets': input should be another name: the images of all studies lie there"),
        ("model.depths=[100000, 1]", "model.depths.0=100000: input should be less than or equal to 200"),
        ("training={lr: 1, lr: 2}", "--set training={lr: 1, lr: 2}: not YAML: line 1, column 9: lr: given twice"),
        ("training={lr: &a 1, ema: *a}", "--set training={lr: &a 1, ema: *a}: not YAML: line 1, column 17: an alias"),
        ("x" * 500 + "=1", "x" * 80 + "…=1: unknown key"),
        ("training.lr=" + "x" * 500, "training.lr='" + "x" * 199 + "…: input should be a valid number"),
        ("training.lr=[" + "x" * 500, "--set training.lr=[" + "x" * 67 + "…: not YAML"),
        (".".join("a" * 5000) + "=1", "--set a.a.a."),
        ("\x1b[31m=1", r"'\x1b[31m'=1: unknown key"),
    ],
)  # fmt: skip
def test_value_of_another_type_is_refused_in_one_line(override: str, message: str) -> None:
    found = refusal(None, override)
    assert found.startswith(message)
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
        (b"- " * 20, "a mapping with the keys seed, study"),
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
            with pytest.raises(ConfigurationError, match=rf"^{path.split('.')[0]}"):
                load_experiment("quick", None, [f"{path}={wrong}"])


OPTIONAL_NUMBERS = [
    "data.limit", "data.limitTest", "sweep.maxHours", "sweep.maxGpuHours", "training.clipNorm",
    "training.schedule.periodEpochs", "pruning.target",
]  # fmt: skip


@pytest.mark.parametrize("path", OPTIONAL_NUMBERS)
@pytest.mark.parametrize("wrong", ["true", "'1'", "text"])
def test_no_number_that_may_be_null_takes_a_value_of_another_type(path: str, wrong: str) -> None:
    assert "input should be a valid number" in refusal(None, f"{path}={wrong}")
