"""Networks of the final training that cannot be tested."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.artifacts import FolderArtifacts, keys
from jobs.artifacts.documents import ModelDocument, write_document
from jobs.artifacts.final_training import trained_model, weights_key
from jobs.report.model_folder import WeightsChanged
from jobs.runtime.settings import Settings
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.evaluate.scoring import NotFinite
from jobs.stages.final_train import stage as final_train
from tests.local.conftest import tiny
from tests.support.studies import Studies

TINY = tiny("sweep={trials: 1, epochs: 1}", "finalTrain.epochs=2")


@pytest.fixture
def trained(studies: Studies, root: FolderArtifacts) -> tuple[ModelDocument, Path]:
    """What the final training has left, and the file of its weights."""
    study = studies.copy(TINY, after=final_train, to=root)
    model = trained_model(study, 0)
    assert model is not None
    return model, study.path(weights_key(model))


def test_weights_that_are_not_those_that_were_trained_are_not_tested(
    settings: Settings, root: FolderArtifacts, trained: tuple[ModelDocument, Path]
) -> None:
    _, weights = trained
    weights.write_bytes(weights.read_bytes()[:-4] + b"lies")
    with pytest.raises(WeightsChanged, match=r"model.safetensors: sha256 \w+, but \w+ was trained"):
        evaluate.run(TINY, settings, root)
    assert root.under("quick").listing(keys.EVALUATION) == []


def test_network_that_gives_no_finite_numbers_is_one_line_and_no_metrics(
    settings: Settings, root: FolderArtifacts, trained: tuple[ModelDocument, Path]
) -> None:
    model, weights = trained
    tensors = load_file(weights)
    next(tensor for tensor in tensors.values() if tensor.is_floating_point())[:] = torch.inf
    save_file(tensors, weights)
    study = root.under("quick")
    sha256 = study.sha256(weights_key(model))
    write_document(study, keys.model_key(0), model.model_copy(update={"weights_sha256": sha256}))
    with pytest.raises(
        NotFinite, match=r"^seed 0: the network gives numbers that are not finite for 60 of 60 test images$"
    ):
        evaluate.run(TINY, settings, root)
    assert study.listing(keys.EVALUATION) == []
