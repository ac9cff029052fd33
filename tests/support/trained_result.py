"""A study whose network is trained and tested, without its sweep."""

from functools import partial

import torch
from safetensors.torch import save_file

from jobs.artifacts import Artifacts, FolderArtifacts
from jobs.artifacts.dataset_images import load_training_data, store_dataset
from jobs.artifacts.documents import ChosenTrial, ModelDocument, write_document
from jobs.artifacts.final_training import trained_model, weights_key
from jobs.artifacts.keys import METRICS, model_key
from jobs.experiment.experiment import Experiment
from jobs.runtime.settings import read_settings
from jobs.stages.evaluate.scoring import run_final_test
from resnet_core.build import build_network
from resnet_core.count import count_macs, count_parameters
from resnet_core.data import read_source
from resnet_core.epoch import EpochResult
from resnet_core.train import train

PARAMETERS = {"lr": 0.03, "optimizer": "adamw"}


def weights_of(study: Artifacts, seed: int = 0) -> str:
    """The key of the weights that the final training of a seed has left."""
    model = trained_model(study, seed)
    assert model is not None
    return weights_key(model)


def train_result(root: FolderArtifacts, experiment: Experiment) -> FolderArtifacts:
    """The study's artifacts as the final training and the test leave them, `dataset.json` and metrics among them."""
    study = root.under(experiment.study_name)
    dataset = store_dataset(root, experiment, read_source(experiment.data))
    data = load_training_data(root, experiment, dataset, torch.device("cpu"))
    own = experiment.with_parameters(PARAMETERS)
    models: list[ModelDocument] = []
    for seed in range(experiment.final_train.seeds):
        epochs: list[EpochResult] = []
        network = build_network(own.model, own.pruning, len(dataset.classes), seed=seed)
        train(
            network, own.training, data, experiment.final_train.epochs, seed=seed, on_epoch=lambda e, _, rows=epochs: rows.append(e)
        )  # fmt: skip
        models.append(
            ModelDocument(
                network=network.config(),
                parameters=count_parameters(network.config()),
                macs=count_macs(network.config()),
                classes=dataset.classes,
                image_size=dataset.image_size,
                mean=data.mean.tolist(),
                std=data.std.tolist(),
                trial=ChosenTrial(number=2, parameters=PARAMETERS),
                epoch=len(epochs),
                validation_accuracy=epochs[-1].validation_accuracy,
                training_images=len(data.train),
                seconds=sum(epoch.seconds for epoch in epochs),
                seed=seed,
                precision="bfloat16",
            )
        )
        weights = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        study.write(weights_key(models[-1]), partial(save_file, weights))
        write_document(study, model_key(seed), models[-1])
    settings = read_settings(database_url="sqlite:///", artifacts_url=root.location, device="cpu")
    write_document(study, METRICS, run_final_test(experiment, settings, root, study, models))
    return study
