"""The command `predict`: what it prints, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from jobs.artifacts import FolderArtifacts
from jobs.cli import predict
from jobs.cli.main import main
from resnet_core.config import ModelConfig
from resnet_core.data.image_file import read_image
from resnet_core.description import NetworkConfig
from resnet_core.load import load_model
from resnet_core.model import ResNet

Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, code: int, *arguments: str | Path) -> str:
    """The one line that it ends with."""
    assert main(["predict", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line.removeprefix("resnet-sweep: ")


def test_every_image_gets_its_most_probable_classes(
    published: FolderArtifacts, digit_files: list[Path], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "BATCH_PIXELS", 5 * 32**2)  # three batches
    assert main(["predict", str(published.root), "--json", "--top=10", *map(str, digit_files)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["image"] for row in rows] == [str(file) for file in digit_files]
    model = load_model(published.root / "model/model.json", published.root / "model/model.safetensors")
    shares = model.logits(torch.stack([read_image(file, 32) for file in digit_files])).softmax(1)
    for row, expected in zip(rows, shares.tolist(), strict=True):
        found = [entry["probability"] for entry in row["top"]]
        assert found == sorted(found, reverse=True)
        assert {entry["class"]: pytest.approx(entry["probability"], abs=1e-5) for entry in row["top"]} == {
            str(digit): share for digit, share in enumerate(expected)
        }
    assert sum(f"is-{row['top'][0]['class']}." in row["image"] for row in rows) >= 5  # chance: one


@pytest.mark.parametrize("place", ["", "model", "final/seed-0", "final/seed-1"])
def test_model_is_found_in_a_result_and_in_a_folder_of_its_own(
    published: FolderArtifacts, digit_files: list[Path], capsys: Capture, place: str
) -> None:
    assert main(["predict", str(published.root / place), str(digit_files[0].parent), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    for file, line in zip(digit_files, lines, strict=True):
        name, _, classes = line.rpartition(": ")
        assert name == str(file)
        (first, second) = classes.split(", ")
        assert first.endswith(" %")
        assert float(first.split()[1]) >= float(second.split()[1])


def test_image_of_any_size_and_format_is_taken(published: FolderArtifacts, tmp_path: Path, capsys: Capture) -> None:
    images = {
        "wide.jpg": Image.new("RGB", (300, 40), "red"),
        "grey.bmp": Image.new("L", (8, 8), 100),
        "palette.gif": Image.new("P", (33, 31)),
        "transparent.webp": Image.new("RGBA", (64, 64), (0, 0, 0, 0)),
        "one pixel.png": Image.new("1", (1, 1)),
        "no-ending": Image.new("RGB", (20, 20)),
    }
    for name, image in images.items():
        image.save(tmp_path / name, format="png" if "." not in name else None)
    assert main(["predict", str(published.root), *(str(tmp_path / name) for name in images)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(images)


def test_name_that_is_not_utf8_is_printed(
    published: FolderArtifacts, digit_files: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    odd = tmp_path / "caf\udce9.png"
    shutil.copyfile(digit_files[0], odd)
    assert main(["predict", str(published.root), str(odd)]) == 0
    assert r"caf\udce9.png: " in capsys.readouterr().out
    assert main(["predict", "--json", str(published.root), str(odd)]) == 0
    assert json.loads(capsys.readouterr().out)["image"] == str(odd)


def test_name_cannot_move_the_cursor_or_begin_a_line(
    published: FolderArtifacts, digit_files: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    odd = tmp_path / "\x1b[2J\n\u202e.png"
    shown = rf"{tmp_path}/\x1b[2J\n\u202e.png"
    assert refused(capsys, 1, published.root, odd) == f"{shown}: no such file"
    odd.mkdir()
    assert refused(capsys, 1, published.root, odd).startswith(f"{shown}: no image in this folder")
    odd.rmdir()
    odd.write_text("no image")
    assert refused(capsys, 1, published.root, odd).startswith(f"{shown}: not an image")
    shutil.copyfile(digit_files[0], odd)
    assert main(["predict", str(published.root), str(odd)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{shown}: ")


def test_three_classes_are_told_or_as_many_as_the_model_knows(
    published: FolderArtifacts, tmp_path: Path, digit_files: list[Path], capsys: Capture
) -> None:
    assert main(["predict", str(published.root), str(digit_files[0])]) == 0
    assert capsys.readouterr().out.count(" %") == 3
    network = NetworkConfig.from_model(ModelConfig(depths=(1,), width=8, strides=(1,)), 2)
    save_file(ResNet(network).state_dict(), tmp_path / "model.safetensors")
    description = json.loads((published.root / "model/model.json").read_text())
    description |= {"network": network.model_dump(mode="json"), "classes": ["cat", "dog"], "weightsSha256": None}
    (tmp_path / "model.json").write_text(json.dumps(description))
    assert main(["predict", str(tmp_path), str(digit_files[0])]) == 0
    assert capsys.readouterr().out.count(" %") == 2
    line = refused(capsys, 78, tmp_path, digit_files[0], "--top=3")
    assert line == "--top=3: at most 2, the classes that the model knows"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--top=0", "--top=0: at least 1"),
        ("--top=11", "--top=11: at most 10, the classes that the model knows"),
        ("--device=gpu", "DEVICE=gpu: auto, cpu, cuda or cuda:1 expected"),
        ("--device=cuda:77", "DEVICE=cuda:77: this machine has "),
    ],
)
def test_option_out_of_range_is_wrong_configuration(
    published: FolderArtifacts, digit_files: list[Path], capsys: Capture, option: str, message: str
) -> None:
    assert refused(capsys, 78, published.root, digit_files[0], option).startswith(message)


def test_place_that_is_neither_folder_nor_bucket_is_wrong_configuration(capsys: Capture, tmp_path: Path) -> None:
    assert (
        refused(capsys, 78, "https://host/model", tmp_path)
        == "https://host/model: either a folder or s3://bucket/prefix"
    )


def test_folder_without_a_model_is_named(
    capsys: Capture, tmp_path: Path, digit_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "nowhere"
    assert refused(capsys, 1, nowhere, digit_files[0]) == f"{nowhere}: no model: nothing is there"
    monkeypatch.chdir(tmp_path)
    Path("runs/mine").mkdir(parents=True)
    hint = "no model: nothing is there; did you mean runs/mine?"
    assert refused(capsys, 1, Path("mine"), digit_files[0]) == f"mine: {hint}"
    (tmp_path / "experiment.yaml").touch()
    assert refused(capsys, 1, tmp_path, digit_files[0]) == (
        f"{tmp_path}: not a model: neither model/model.json nor model.json; a result has its model when it is evaluated"
    )


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def truncate_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])


def change_a_weight(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def change_widths(folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text())
    description["network"]["stem"] += 1
    (folder / "model.json").write_text(json.dumps(description))


def truncate_description(folder: Path) -> None:
    file = folder / "model.json"
    file.write_text(file.read_text()[:100])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove_weights, ": not a model: no model.safetensors beside model.json"),
        (truncate_weights, ": not a file of weights: "),
        (change_a_weight, ": model.safetensors has sha256 "),
        (change_widths, ": not the weights of the network: norm.bias is float32 ["),
        (truncate_description, ": not the description of a model: not JSON: "),
    ],
)
def test_model_that_does_not_hold_together_is_refused(
    copied: FolderArtifacts, digit_files: list[Path], capsys: Capture, change: Callable[[Path], None], message: str
) -> None:
    folder = copied.root / "model"
    change(folder)
    for place in (copied.root, folder):
        assert refused(capsys, 1, place, digit_files[0]).startswith(f"{folder}{message}")


def test_network_that_gives_numbers_that_are_not_finite_is_refused(
    copied: FolderArtifacts, digit_files: list[Path], capsys: Capture
) -> None:
    description, weights = copied.root / "model/model.json", copied.root / "model/model.safetensors"
    tensors = load_file(weights)
    save_file(tensors | {"stem.weight": tensors["stem.weight"] * float("nan")}, weights)
    described = json.loads(description.read_text())
    del described["weightsSha256"]
    description.write_text(json.dumps(described))
    message = "the network of this model gives numbers that are not finite"
    assert refused(capsys, 1, copied.root, digit_files[0], "--json") == message


def test_file_that_is_no_image_is_named_before_anything_is_printed(
    published: FolderArtifacts, digit_files: list[Path], capsys: Capture, tmp_path: Path
) -> None:
    text, half, other, grey, empty = (tmp_path / name for name in ("a.png", "b.png", "c.dds", "d.tif", "empty"))
    text.write_text("no image")
    half.write_bytes(digit_files[0].read_bytes()[:-60])
    Image.new("RGB", (8, 8)).save(other)
    Image.new("F", (8, 8)).save(grey)
    empty.mkdir()
    for bad, reason in (
        (text, "not an image (JPEG, "),
        (half, "cannot be decoded: "),
        (other, "not an image (JPEG, "),
        (grey, "pixels of the kind F have no white"),
    ):
        assert refused(capsys, 1, published.root, *digit_files, bad).startswith(f"{bad}: {reason}")
    assert refused(capsys, 1, published.root, digit_files[0], tmp_path / "e.png") == f"{tmp_path}/e.png: no such file"
    assert refused(capsys, 1, published.root, empty).startswith(f"{empty}: no image in this folder (.jpg, ")


def test_folder_is_read_as_for_training(
    published: FolderArtifacts, digit_files: list[Path], capsys: Capture, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    (photos / "folder.jpg").mkdir(parents=True)
    shutil.copyfile(digit_files[1], photos / "folder.jpg/1.png")
    (photos / "linked").symlink_to(digit_files[0].parent)
    (photos / "._0.png").write_bytes(b"of a Macintosh")
    assert main(["predict", str(published.root), str(photos)]) == 0
    names = [line.rpartition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [f"{photos}/folder.jpg/1.png", *(f"{photos}/linked/{file.name}" for file in digit_files)]
    (photos / "gone.png").symlink_to("nowhere")
    assert refused(capsys, 1, published.root, photos) == f"{photos}/gone.png: a link that leads nowhere"
    long = photos / ("x" * 256)
    assert refused(capsys, 1, published.root, long) == f"{long}: File name too long"


def test_pickle_is_not_opened(copied: FolderArtifacts, digit_files: list[Path], capsys: Capture) -> None:
    torch.save({"stem.weight": torch.zeros(1)}, copied.root / "model/model.safetensors")
    assert "not a file of weights" in refused(capsys, 1, copied.root, digit_files[0])
