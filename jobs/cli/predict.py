"""The command `predict`: classifies images with a trained network."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from jobs.artifacts import Artifacts
from jobs.artifacts.base import file_sha256
from jobs.artifacts.keys import DESCRIPTION, MODEL
from jobs.cli.result_commands import open_result
from jobs.runtime.device import select_device
from jobs.runtime.errors import ConfigurationError, Failure
from jobs.runtime.settings import read_settings
from jobs.runtime.terminal import say
from resnet_core.data.image_file import SUFFIXES, read_image
from resnet_core.data.listing import image_files
from resnet_core.device import use_threads
from resnet_core.load import TrainedModel, load_model, read_description
from resnet_core.shown_text import visible

TOP = 3
BATCH_PIXELS = 2**18  # of a batch, 256 images of 32x32, so that memory is bounded for images of any size


class NotAModel(Failure):
    """There is no model, or its files do not belong together."""


class NotAnImage(Failure):
    """A file that was given does not exist, or is not an image."""


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image with their probabilities, beginning with the most probable."""

    image: Path
    top: list[tuple[str, float]]

    def line(self) -> str:
        return f"{self.image}: {', '.join(f'{name} {100 * probability:.2f} %' for name, probability in self.top)}"

    def json(self) -> str:
        top = [{"class": name, "probability": probability} for name, probability in self.top]
        return json.dumps({"image": str(self.image), "top": top}, allow_nan=False)


def run(model: str, images: list[Path], *, top: int | None, device: str | None, as_json: bool) -> None:
    """Prints the `top` classes of each image; nothing is printed unless all of them can be read.

    Args:
        model: the folder or s3://bucket/prefix of a result, or of a model.
        images: files, or folders of files.
        top: how many classes; by default three, or all of a model that knows fewer.
        device: by default the one that DEVICE names.
        as_json: whether to print a JSON object for each image.

    Raises:
        ConfigurationError: there are not so many classes, or no such device.
        NotAModel, NotAnImage: what is named is not a model or not an image.

    """
    if top is not None and top < 1:
        raise ConfigurationError(f"--top={top}: at least 1")
    settings = read_settings(database_url="sqlite:///", artifacts_url=model, **({"device": device} if device else {}))
    use_threads(settings.threads)
    try:
        selected = select_device(settings)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    trained = _read_model(open_result(model), selected)
    classes = len(trained.description.classes)
    if top is not None and top > classes:
        raise ConfigurationError(f"--top={top}: at most {classes}, the classes that the model knows")
    for prediction in list(_predict(trained, list(_files(images)), top or min(TOP, classes))):
        say(prediction.json() if as_json else prediction.line())


def _read_model(artifacts: Artifacts, device: torch.device) -> TrainedModel:
    folder = next((f for f in (artifacts.under(MODEL), artifacts) if f.exists(DESCRIPTION)), None)
    if folder is None and not artifacts.listing(""):
        local = Path("runs") / artifacts.location
        hint = f"; did you mean {local}?" if local.is_dir() else ""
        raise NotAModel(f"{artifacts.location}: no model: nothing is there{hint}")
    if folder is None:
        words = f"neither {MODEL}/{DESCRIPTION} nor {DESCRIPTION}; a result has its model when it is evaluated"
        raise NotAModel(f"{artifacts.location}: not a model: {words}")
    try:
        file = folder.read(DESCRIPTION, read_description).weights
    except ValueError as error:
        raise NotAModel(f"{folder.location}: {error}") from None
    if not folder.exists(file):
        raise NotAModel(f"{folder.location}: not a model: no {file} beside {DESCRIPTION}")

    def load(description: Path, weights: Path) -> TrainedModel:
        try:
            model = load_model(description, weights, device)
        except ValueError as error:
            raise NotAModel(f"{folder.location}: {error}") from None
        expected, found = model.description.weights_sha256, file_sha256(weights)
        if expected not in (None, found):
            differing = f"{file} has sha256 {found}, but {DESCRIPTION} belongs to {expected}"
            raise NotAModel(f"{folder.location}: {differing}; one of them was changed")
        return model

    return folder.read(DESCRIPTION, lambda description: folder.read(file, partial(load, description)))


def _files(images: list[Path]) -> Iterator[Path]:
    for path in images:
        shown = visible(str(path))
        try:
            is_folder, is_file = path.is_dir(), path.is_file()
            files = image_files(path) if is_folder else [path]
        except OSError as error:
            raise NotAnImage(f"{shown}: {error.strerror}") from None
        except ValueError as error:
            raise NotAnImage(visible(str(error))) from None
        if not files:
            raise NotAnImage(f"{shown}: no image in this folder ({', '.join(SUFFIXES)})")
        if not (is_folder or is_file):
            raise NotAnImage(f"{shown}: no such file")
        yield from files


def _predict(model: TrainedModel, files: list[Path], top: int) -> Iterator[Prediction]:
    size, names = model.description.image_size, model.description.classes
    images = max(BATCH_PIXELS // size**2, 1)
    for start in range(0, len(files), images):
        batch = files[start : start + images]
        try:
            pixels = torch.stack([read_image(file, size) for file in batch])
        except ValueError as error:
            raise NotAnImage(visible(str(error))) from None
        logits = model.logits(pixels)
        if not logits.isfinite().all():
            raise NotAModel("the network of this model gives numbers that are not finite")
        shares, labels = logits.softmax(1).topk(top)
        for file, row, indices in zip(batch, shares.tolist(), labels.tolist(), strict=True):
            yield Prediction(file, [(names[index], share) for index, share in zip(indices, row, strict=True)])
