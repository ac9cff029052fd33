"""The experiment that `init` writes for images of many kinds."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.cli.init import starter
from jobs.cli.main import main
from jobs.experiment.load import load_experiment
from jobs.stages.network_check import check_networks
from resnet_core.data.survey import Survey, survey


def make_images(folder: Path, counts: dict[str, int], side: int = 60) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (side, side + 20), (number, 0, 0)).save(folder / name / f"{number}.png")
    return folder


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["init", *arguments]) == 78
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("resnet-sweep: ")


@settings(derandomize=True, deadline=None)
@given(
    counts=st.lists(st.integers(3, 30_000), min_size=2, max_size=30),
    test=st.one_of(st.none(), st.integers(1, 10_000)),
    side=st.integers(1, 5_000),
)
def test_experiment_can_be_run_on_the_images_that_it_was_written_for(
    counts: list[int], test: int | None, side: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp()
    found = Survey("imagefolder", path, {f"class {n}": count for n, count in enumerate(counts)}, test, side)
    file = tmp_path_factory.mktemp("experiment") / "mine.yaml"
    file.write_text(starter(found))
    experiment = load_experiment(None, file, [])
    check_networks(experiment, len(counts), experiment.data.image_size)
    assert experiment.data.path == str(path)
    assert (experiment.data.test is None) == (test is not None)
    # of every class at least one image goes into each part, so that rounding can take more than the share
    kept = sum(count if test is not None else count - max(round(count * 0.2), 1) for count in counts)
    training = kept - sum(max(round(count * experiment.data.validation), 1) for count in counts)
    assert experiment.training.batch_size <= max(training, 2)


def test_folder_is_looked_at_and_the_next_command_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = make_images(tmp_path / "Bilder", {"Äpfel": 5, "pears": 7}), tmp_path / "mine.yaml"
    assert main(["init", "--data", str(folder), "--file", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: 12 images in 2 classes, no test part: a fifth is set aside",
        "8 to train on, 2 to choose by, 2 to test: so many tell the accuracy to about ± 33 points",
        f"next: resnet-sweep local --config {file}",
    ]
    tree = yaml.safe_load(file.read_text())
    assert tree["data"] == {
        "source": "imagefolder",
        "path": str(folder),
        "imageSize": 64,
        "test": 0.2,
        "validation": 0.15,
    }


def test_survey_of_a_folder_with_a_test_part(tmp_path: Path) -> None:
    make_images(tmp_path / "train", {"a": 4, "b": 3}, side=30)
    make_images(tmp_path / "test", {"a": 2, "b": 1})
    assert survey(None, tmp_path) == Survey("imagefolder", tmp_path, {"a": 4, "b": 3}, 3, 30)


def test_cifar_needs_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "cifar.yaml"
    assert main(["init", "--source", "cifar100", "--file", str(file)]) == 0
    experiment = load_experiment(None, file, [])
    assert (experiment.data.source, experiment.data.path, experiment.data.test) == ("cifar100", None, None)
    check_networks(experiment, 100, 32)


def test_what_cannot_be_used_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    to = ("--file", str(file))
    needed = "init: --data FOLDER needed, with a folder of images for each class, or --source cifar10"
    assert complaint(capsys, *to) == needed
    assert complaint(capsys, "--source", "imagefolder", *to) == needed
    gone = tmp_path / "gone"
    assert complaint(capsys, "--data", str(gone), *to) == f"--data={gone}: No such file or directory"
    few = make_images(tmp_path / "few", {"a": 3, "b": 2})
    assert complaint(capsys, "--data", str(few), *to) == f"--data={few}/b: 2 images, at least 3 needed of each class"
    one = make_images(tmp_path / "one", {"a": 3})
    assert complaint(capsys, "--data", str(one), *to) == f"--data={one}: 1 class folders, at least 2 expected"
    wrong = make_images(tmp_path / "wrong", {"a": 3, "b": 3})
    (wrong / "a/0.png").write_text("no image")
    assert complaint(capsys, "--data", str(wrong), *to).startswith(f"--data={wrong}/a/0.png: not an image (JPEG, ")
    assert not file.exists()
    file.write_text("mine")
    assert complaint(capsys, "--source", "cifar10", *to) == f"--file={file}: is there already; another name expected"
    assert file.read_text() == "mine"
