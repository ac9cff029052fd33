"""The prediction for each test image, and the images of the most confident mistakes."""

from collections.abc import Sequence
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from jobs.artifacts import Artifacts
from jobs.artifacts.keys import MISTAKES, PREDICTIONS
from jobs.report.pages.figure_files import write_csv
from resnet_core.data import Images

MOST_MISTAKES = 24


def write_predictions(artifacts: Artifacts, test: Images, logits: Tensor, classes: Sequence[str]) -> None:
    """Writes a table with a row for each image, and as pictures those that were mistaken with the most confidence.

    Images are counted from 0. The table has their files, too, where they are from files.

    Args:
        artifacts: the study's.
        test: on any device.
        logits: `(N, classes)` of these images.
        classes: their names.

    """
    probabilities, labels = logits.float().softmax(dim=1).cpu(), test.labels.cpu()
    confidences, predictions = probabilities.max(dim=1)
    of_label = probabilities.gather(1, labels[:, None])[:, 0]
    columns = (labels.tolist(), predictions.tolist(), confidences.tolist(), of_label.tolist())
    rows = [
        (image, classes[label], classes[predicted], *(f"{share:.6f}" for share in shares))
        for image, (label, predicted, *shares) in enumerate(zip(*columns, strict=True))
    ]
    header: tuple[str, ...] = ("image", "label", "predicted", "confidence", "probability_of_label")
    if test.files:
        header = (*header, "file")
        rows = [(*row, file) for row, file in zip(rows, test.files, strict=True)]
    write_csv(artifacts, PREDICTIONS, header, rows)
    wrong = torch.nonzero(predictions != labels)[:, 0]
    worst = wrong[confidences[wrong].argsort(descending=True, stable=True)[:MOST_MISTAKES]]
    for image in worst.tolist():
        picture = Image.fromarray(test.images[image].permute(1, 2, 0).cpu().numpy())
        artifacts.write(f"{MISTAKES}/{image}.png", partial(picture.save, format="png"))
