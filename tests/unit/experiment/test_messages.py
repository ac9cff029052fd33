"""What people are told about a mistake: one line in their own words, with what they wrote and what would be right."""

from pathlib import Path

import pytest

from jobs.experiment.load import load_experiment
from jobs.runtime.errors import ConfigurationError


def told(file: Path | None, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_experiment(None, file, list(overrides))
    (line,) = str(raised.value).splitlines()
    return line


# {} stands for the option as it was typed.
OPTIONS = [
    ("pruning.method=amounts", "pruning.amounts: needed with pruning.method=amounts"),
    ("training.lr=true", "--set {}: a number expected"),
    ("model.depths=[]", "--set {}: a list of at least 1 value expected"),
    ("model.depths=2", "--set {}: a list expected"),
    ("model.depths=[1,1,1,1,1,1,1,1,1]", "--set {}: a list of at most 8 values expected"),
    ("training=3", "--set {}: keys with values expected: "),
    ("training=null", "--set {}: keys with values expected: "),
    ("training.optimizer=foo", "--set {}: one of sgd, rmsprop, adam, adamw, adadelta, adagrad, asgd, muon expected"),
    ("sweep.trials=0", "--set {}: at least 1 expected"),
    ("training.lr=0", "--set {}: above 0 expected"),
    ("training.lr=abc", "--set {}: a number expected"),
    ("sweep.epochs=2.5", "--set {}: a whole number expected"),
    ("data.title=3", "--set {}: text expected"),
    ("study.name=My Study", "--set {}: 1 to 63 of a-z, 0-9 and - expected, and no - at the ends"),
    ("study.name=datasets", "--set {}: another name expected: the images of all studies lie there"),
    ("data=x", "--set {}: keys with values expected: source, path, title, imageSize, validation, test, limit, limitTest"),
    ("searchSpace=3", "--set {}: keys with values expected"),
    ("searchSpace.lr=3", "--set {}: keys with values expected: choices, when, low, high, log, step"),
    ("searchSpace.lr.choices=[]", "searchSpace.lr={low: 0.001, high: 0.3, log: true, choices: []}: choices, or low and high: not both"),
    ("sweep.confirm=3", "--set {}: keys with values expected: trials, seeds"),
    ("sweep.epochs=1", "sweep.earlyStopping.minEpochs=2: at most sweep.epochs=1; this is from the preset quick: set sweep.earlyStopping.minEpochs to replace it"),
    ("training.nesterov=1", "--set {}: true or false expected"),
    ("searchSpace.foo={choices: [1]}", "searchSpace.foo=1: no field of training, model or pruning: "),
    ("training.schedule.name=cosin", "--set {}: one of cosine, linear, step, cyclic, constant expected"),
    ("foo=1", "--set {}: unknown key; allowed: "),
    ("training.foo.bar=1", "training.foo={bar: 1}: unknown key; allowed: "),
    ("lr=0.1", "--set {}: unknown key; did you mean training.lr? allowed: "),
    ("training.lr", "--set {}: key.path=value expected"),
    ("=", "--set {}: key.path=value expected"),
    ("data.path=/x", "--set {}: digits come with scikit-learn and take no path"),
    ("budget.parameters=5M", "--set {}: a number expected"),
    ("budget.parameters=5_000_000", "--set {}: a number expected"),
    ("sweep.trials=1e9", "--set {}: at most 100,000 expected"),
    ("model.widths=[8]", "--set {}: 3 values expected, one a stage as in model.depths=[1, 1, 1]"),
    ("model.strides=[1]", "--set {}: 3 values expected, one a stage as in model.depths=[1, 1, 1]"),
    ("sweep.objectives=[parameters]", "--set {}: accuracy, then parameters or macs if anything"),
    ("sweep.sampler.name=grid", "searchSpace.lr: sweep.sampler.name=grid needs a step or choices; this is from the preset quick: set searchSpace.lr to replace it"),
    ("sweep.sampler.name=manual", "sweep.trials=12: sweep.configurations has 0; this is from the preset quick: set sweep.trials to replace it"),
    ("sweep.configurations=[{lr: 1}]", "sweep.configurations: 1 given, but only with sweep.sampler.name=manual"),
    ("searchSpace.lr={low: 1, high: 0.1}", "searchSpace.lr.low=1: must be below high=0.1"),
    ("searchSpace.lr={low: 0, high: 1, log: true}", "searchSpace.lr.low=0: above 0 with log=true"),
    ("training.schedule.warmupEpochs=20", "--set {}: less than the 8 epochs trained"),
    ("seed=-1", "--set {}: at least 0 expected"),
    ("data.validation=1", "--set {}: below 1 expected"),
    ("data.limit=-5", "--set {}: at least 1 expected"),
    ("training.augmentation.policy=auto", "--set {}: one of none, autoaugment, trivialaugment expected"),
    ("data.test=0.2", "--set {}: digits has test images of its own; null expected"),
    ("trials=5", "--set {}: unknown key; did you mean sweep.trials? allowed: "),
    ("epochs=3", "--set {}: unknown key; did you mean sweep.epochs? allowed: "),
    ("training.learningRate=0.1", "--set {}: unknown key; allowed: "),
    ("training.batch_size=64", "--set {}: unknown key; did you mean batchSize? allowed: "),
    ("training.augmentation.flip=yes", "--set {}: true or false expected"),
    ("sweep.earlyStopping=none", "--set {}: keys with values expected: name, minEpochs, reductionFactor, startupTrials"),
    ("sweep.confirm={trials: 99, seeds: 1}", "sweep.confirm.trials=99: at most sweep.trials=12"),
    ("finalTrain={select: best, data: train+validation}", "finalTrain.select=best: only with finalTrain.data=train, which leaves images to select by"),
    ("searchSpace.momentum={low: 0.5}", "searchSpace.momentum.high: needed, but not given"),
    ("searchSpace.lr={choices: [0.1, 0.1]}", "searchSpace.lr.choices=[0.1, 0.1]: each value once"),
    ("searchSpace.lr.step=0.1", "--set {}: not together with log=true"),
    ("searchSpace.optimizer={choices: [sgd, adamx]}", "searchSpace.optimizer='adamx': one of sgd, rmsprop, adam, adamw, adadelta, adagrad, asgd, muon expected"),
    ("model.width=0", "--set {}: at least 1 expected"),
    ("model.depths=[1,1]", "model.strides=[1, 2, 2]: 2 values expected, one a stage as in model.depths=[1, 1]; this is from the preset quick: set model.strides to replace it"),
    ("study.published=[{what: x, accuracy: 93}]", "study.published.0.accuracy=93: at most 1 expected"),
    ("budget.parameters=0", "--set {}: at least 1 expected"),
    ("data.imageSize=1024", "--set {}: at most 512 expected"),
    ("data.source=imagenet", "--set {}: one of digits, cifar10, cifar100, imagefolder expected"),
    ("data.source=imagefolder", "data.path: imagefolder needs a folder with a folder of images for each class"),
    ("extends=best", "--set {}: unknown key; allowed: "),
    ("training.precision=fp16", "--set {}: one of auto, fp32, bf16 expected"),
    ("sweep.maxHours=0", "--set {}: above 0 expected"),
    ("sweep.stop=3", "--set {}: keys with values expected: patience, minDelta"),
    ("sweep.stop={patience: 0}", "sweep.stop.patience=0: at least 1 expected"),
    ("sweep.stop={minDelta: 0.1}", "sweep.stop.patience: needed, but not given"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "message"), OPTIONS)
def test_option_that_cannot_be_meant(option: str, message: str) -> None:
    assert told(None, option).startswith(message.replace("{}", option, 1) if "--set {}" in message else message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("training:\n\tlr: 1\n", "{}: not YAML: line 2, column 1: a tab; YAML is indented with spaces"),
        ("seed: 1\n---\nseed: 2\n", "{}: not YAML: line 2, column 1: a second document begins here; one is expected"),
        ("", "{}: nothing in it; lines of key: value expected, of seed, study, data, "),
        ("# only a remark\n", "{}: nothing in it; lines of key: value expected, of seed, study, data, "),
        ("- 1", "{}: [1]; lines of key: value expected, of seed, study, data, "),
        ("hello", "{}: 'hello'; lines of key: value expected, of seed, study, data, "),
        ("a: b: c", "{}: not YAML: line 1, column 5: a colon where none can stand; text with one needs quotation marks"),
        ("extends: quick\npruning: {method: none}", "pruning.target=60000: null expected with pruning.method=none; this is from the preset quick: set pruning.target to replace it"),
        ("extends: quick\npruning: {method: none, target: 9}", "pruning.target=9: null expected with pruning.method=none"),
        ("extends: quick\ntraining: {lr: null}", "training.lr=null: a number expected"),
    ],
)  # fmt: skip
def test_file_that_cannot_be_meant(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    found, expected = told(file), message.replace("{}", str(file))
    assert found == expected or (expected.endswith(", ") and found.startswith(expected))


@pytest.mark.parametrize(
    ("file", "study"),
    [
        ("mine.yaml", "mine"),
        ("My Flowers_2.yaml", "my-flowers-2"),
        ("Möwen & Straße.yaml", "mowen-strasse"),
        ("-x-.yaml", "x"),
        (f"{'long' * 30}.yaml", ("long" * 30)[:63]),
    ],
)
def test_study_is_named_after_any_file(file: str, study: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("seed: 1\n")
    assert load_experiment(None, tmp_path / file, []).study_name == study


def test_file_of_whose_name_nothing_is_left_needs_a_name_for_the_study(tmp_path: Path) -> None:
    file = tmp_path / "猫.yaml"
    file.write_text("seed: 1\n")
    assert told(file) == f"--config={file}: no study's name is left of this name; give study.name"
    assert load_experiment(None, file, ["study.name=cats"]).study_name == "cats"
