"""`init`: looks at somebody's images and writes a first experiment whose values fit them, each explained."""

import json
from math import log2
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from jobs.experiment.load import load_experiment
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.terminal import say
from resnet_core.data.survey import Survey, survey
from resnet_core.metrics import wilson_half_width
from resnet_core.shown_accuracy import points

TEMPLATE = "starter.yaml.j2"
NEEDED = "init: --data FOLDER needed, with a folder of images for each class, or --source cifar10"
FEW = 5_000  # training images: with fewer, a network of 200,000 parameters is enough for a first sweep
TEST, VALIDATION, VALIDATION_OF_MANY = 0.2, 0.15, 0.1
LIKELY = 0.8  # accuracy, to say how sure one will be of it
SMALL_SIDE, SIDES = 40, (32, 64)  # pixels: images up to the first number get the smaller side
LEAST_VALIDATED = 50  # images: the order that fewer give to trials after some epochs is mostly chance
SWEEP_IMAGES, FINAL_IMAGES = 40_000, 200_000  # that a trial and the final training see, repeats included


def init(source: str | None, data: Path | None, file: Path) -> None:
    """Writes the file and says what it is for.

    Raises:
        ConfigurationError: the images cannot be used, or the file cannot be written or is there already.

    """
    if data is None and source in (None, "imagefolder"):
        raise ConfigurationError(NEEDED)
    try:
        found = survey(source, data and data.expanduser().resolve())
    except ValueError as error:
        raise ConfigurationError(f"--data={str(error).removeprefix('data.path=')}") from None
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(starter(found))
    except FileExistsError:
        raise ConfigurationError(f"--file={file}: is there already; another name expected") from None
    except OSError as error:
        raise ConfigurationError(f"--file={file}: {error.strerror}") from None
    load_experiment(None, file, [])
    test = "no test part: a fifth is set aside" if found.test is None else f"{found.test:,} test images"
    say(f"{file}: {found.images:,} images in {len(found.counts)} classes, {test}")
    say(certainty(found))
    say(f"next: resnet-sweep local --config {file}")


def certainty(found: Survey) -> str:
    """What the numbers of images mean for what will be known, in a line."""
    training, validated, tested = _parts(found)
    open_by = points(wilson_half_width(LIKELY, tested), tested)
    said = f"{training:,} to train on, {validated:,} to choose by, {tested:,} to test"
    return f"{said}: so many tell the accuracy to about ± {open_by} points"


def starter(found: Survey) -> str:
    """An experiment on these images as YAML, which runs as it is."""
    least, most = min(found.counts.values()), max(found.counts.values())
    training, validated, _tested = _parts(found)
    epochs = min(max(SWEEP_IMAGES // training, 3), 30)
    environment = Environment(
        loader=PackageLoader("jobs.cli", "."), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(TEMPLATE).render(
        source=found.source,
        path=found.path and json.dumps(str(found.path), ensure_ascii=False, allow_nan=False),
        images=found.images,
        classes=len(found.counts),
        each=f"{least:,} each" if least == most else f"{least:,} to {most:,} each",
        test_part="no test part" if found.test is None else f"{found.test:,} test images",
        side=found.side,
        few=training < FEW,
        image_size=SIDES[found.side > SMALL_SIDE],
        test=TEST if found.test is None else None,
        validation=VALIDATION if training < FEW else VALIDATION_OF_MANY,
        batch_size=min(max(2 ** int(log2(max(training / 4, 1))), 8), 128, training),
        epochs=epochs,
        warmup=1.0 if epochs >= 5 else 0.5,
        early=max(epochs // 5, 2) if epochs > 3 and validated >= LEAST_VALIDATED else None,
        final_epochs=min(max(FINAL_IMAGES // training, 10), 100),
    )


def _parts(found: Survey) -> tuple[int, int, int]:
    """How many images will be trained on, validated and tested."""
    aside = {name: _share(count, TEST) if found.test is None else 0 for name, count in found.counts.items()}
    kept = [count - aside[name] for name, count in found.counts.items()]
    validated = sum(_share(count, VALIDATION) for count in kept)
    if sum(kept) - validated >= FEW:
        validated = sum(_share(count, VALIDATION_OF_MANY) for count in kept)
    return sum(kept) - validated, validated, sum(aside.values()) if found.test is None else found.test


def _share(images: int, fraction: float) -> int:
    """How many of a class are set aside, as `resnet_core.data.split` does."""
    return max(round(images * fraction), 1)
