"""What a stage imports, it imports before its first step: seconds that every process of a sweep would take longer."""

import subprocess
import sys

ALL = ("torchvision", "torch._dynamo", "sklearn", "scipy", "matplotlib", "boto3", "kubernetes", "PIL", "onnx", "rich")


def _imported(code: str, *packages: str) -> set[str]:
    """Those of `packages` that a new process has imported after `code`."""
    report = f"import sys; print(*[package for package in {packages!r} if package in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_stages_that_train_import_nothing_they_may_not_need_when_they_begin() -> None:
    assert (
        _imported("import jobs.stages.sweep.stage, jobs.stages.prepare, jobs.stages.final_train.stage", *ALL) == set()
    )


def test_images_are_augmented_without_torchvision() -> None:
    code = """
import numpy as np
import torch
from resnet_core.augment import EpochPlan
from resnet_core.config import AugmentationConfig

drawn = EpochPlan.draw(AugmentationConfig(policy="trivialaugment"), 100, 32, np.random.default_rng(0))
drawn.send(torch.device("cpu"), 100).transform(torch.zeros(100, 3, 32, 32, dtype=torch.uint8), 0)
"""
    assert _imported(code, "torch", "torchvision") == {"torch"}


def test_what_does_not_train_imports_no_torch() -> None:
    modules = "jobs.__main__, jobs.runners.kubernetes.pipeline, jobs.cli.sweep_commands, jobs.cli.result_commands, jobs.runners.local, jobs.stages.sweep.worker_processes, jobs.cli.check_services"
    assert _imported(f"import {modules}", "torch", "torchvision", "sklearn", "matplotlib", "boto3") == set()


def test_parameters_are_counted_without_torchs_compiler() -> None:
    code = """
from jobs.experiment.load import load_experiment
from resnet_core.count import count_parameters
from resnet_core.description import NetworkConfig
from resnet_core.pruning import planned_config

experiment = load_experiment("quick", None, [])
count_parameters(planned_config(NetworkConfig.from_model(experiment.model, 10), experiment.pruning))
"""
    assert _imported(code, "torch", "torch._dynamo") == {"torch"}


def test_a_cpu_is_timed_without_torchs_compiler() -> None:
    code = """
import torch
from resnet_core.arithmetic_choice import choose_arithmetic
from resnet_core.config import ModelConfig
from resnet_core.description import NetworkConfig

torch.set_num_threads(2)
for model in (ModelConfig(), ModelConfig(depths=(1,), width=53, strides=(1,))):
    choose_arithmetic("auto", NetworkConfig.from_model(model, 10), 32, 128, torch.device("cpu"))
"""
    assert _imported(code, "torch", "torch._dynamo", "sympy") == {"torch"}


def test_nothing_is_trained_with_torchs_compiler() -> None:
    code = """
import torch
from resnet_core.build import build_network
from resnet_core.config import PruningConfig
from resnet_core.train import train
from tests.support.saver import AllSaved
from tests.support.two_classes import EVERYTHING, MODEL, two_classes

for optimizer in ("sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "asgd"):
    recipe, saver = EVERYTHING.model_copy(update={"optimizer": optimizer, "lr": 0.01}), AllSaved()
    for checkpoint in (None, 3):
        network = build_network(MODEL, PruningConfig(), 2, dropout=recipe.dropout, seed=1)
        saved = None if checkpoint is None else saver.checkpoints[checkpoint]
        train(network, recipe, two_classes(), 1, seed=1, checkpoint=saved, saver=saver)
"""
    assert _imported(code, "torch", "torch._dynamo") == {"torch"}
