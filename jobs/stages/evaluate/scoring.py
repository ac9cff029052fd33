"""The final networks on the test images: what `metrics.json` holds."""

from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from jobs.artifacts import Artifacts
from jobs.artifacts.dataset_images import load_test_images
from jobs.artifacts.dataset_record import read_dataset
from jobs.artifacts.keys import weights_key
from jobs.experiment.experiment import Experiment
from jobs.report.predictions import write_predictions
from jobs.runtime.device import select_device
from jobs.runtime.settings import Settings
from jobs.stages.evaluate.provenance import describe_environment
from resnet_core.count import check_budget
from resnet_core.data import Images
from resnet_core.load import load_network
from resnet_core.metrics import compute_metrics, mean_interval
from resnet_core.model import NetworkConfig, ResNet
from resnet_core.predict import predict


def run_final_test(
    experiment: Experiment, settings: Settings, root: Artifacts, models: list[dict[str, Any]]
) -> dict[str, Any]:
    """Tests the network of every seed, and returns the metrics.

    Of several networks the one with the best validation accuracy goes out: the test images choose nothing.

    Raises:
        BudgetExceeded: a network has more parameters than it may.

    """
    artifacts, device = root.under(experiment.study_name), select_device(settings)
    dataset = read_dataset(root, experiment.study_name)
    test = load_test_images(root, experiment, dataset).to(device)
    chosen = max(models, key=lambda model: (model["validationAccuracy"] or 0.0, -model["seed"]))["seed"]
    seeds = []
    for model in models:
        config = NetworkConfig.model_validate(model["network"])
        parameters = check_budget(config, experiment.budget.parameters)
        network = artifacts.read(weights_key(model["seed"]), partial(load_network, config))
        network.to(device).to(memory_format=torch.channels_last)
        logits = _logits(network, model, test)
        tested = {
            "seed": model["seed"],
            "validationAccuracy": model["validationAccuracy"],
            "test": asdict(compute_metrics(logits, test.labels)),
            "weightsSha256": artifacts.sha256(weights_key(model["seed"])),
        }
        if experiment.evaluation.flip:
            flipped = _logits(network, model, test, flip=True)
            tested["testWithFlip"] = asdict(compute_metrics(flipped, test.labels))
        if model["seed"] == chosen:
            write_predictions(artifacts, test, logits, model["classes"])
        seeds.append(tested)
    mean, low, high = mean_interval([tested["test"]["accuracy"] for tested in seeds])
    own = {key: value for key, value in seeds[chosen].items() if key not in ("seed", "validationAccuracy")}
    return {
        "dataset": dataset.title,
        "parameters": parameters,
        "budget": experiment.budget.parameters,
        "macs": models[chosen]["macs"],
        "accuracy": {"mean": mean, "low": low, "high": high},
        "chosen": chosen,
        **own,
        "seeds": seeds,
        "environment": describe_environment(device),
    }


def _logits(network: ResNet, model: dict[str, Any], test: Images, *, flip: bool = False) -> torch.Tensor:
    mean, std = (torch.tensor(model[name], device=test.images.device) for name in ("mean", "std"))
    return predict(network, test.images, mean, std, getattr(torch, model["precision"]), flip=flip)
