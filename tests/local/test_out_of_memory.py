"""Memory that really runs out: more is asked for than any machine has, or than a process may take."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.dataset_images import load_training_data
from jobs.artifacts.dataset_record import read_dataset
from jobs.queue.tables import SlotState
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.final_train import seed_training
from jobs.stages.final_train import stage as final_train
from jobs.stages.final_train.seed_training import TrainingFailed
from jobs.stages.sweep import stage as sweep
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.train_trial import train_trial
from jobs.stages.sweep.worker import Worker
from resnet_core.batches import TrainingData
from tests.local.conftest import tiny
from tests.support.sweeps import status_of

CPU = torch.device("cpu")
SIDE = 2**20  # pixels, of images that are one pixel in memory until something is made of them

# A process of its own: where memory ends, so may whatever native code shares it.
LOADING = """
import resource, sys
from pathlib import Path
import torch
from jobs.artifacts import FolderArtifacts
from jobs.artifacts.dataset_images import DatasetTooLarge, load_training_data
from jobs.artifacts.dataset_record import read_dataset
from tests.local.conftest import tiny

experiment, root = tiny("data.limit=null"), FolderArtifacts(Path(sys.argv[1]))
dataset = read_dataset(root, experiment.study_name)
pages = int(Path("/proc/self/statm").read_text().split()[0])
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**20, most))
try:
    load_training_data(root, experiment, dataset, torch.device("cpu"))
except DatasetTooLarge as error:
    print(error)
"""


def enlarged(data: TrainingData) -> TrainingData:
    images = data.train.images[:, :, :1, :1].expand(-1, -1, SIDE, SIDE)
    return replace(data, train=replace(data.train, images=images))


def test_trial_out_of_memory_fails_in_one_line_and_the_sweep_goes_on(
    settings: Settings, root: FolderArtifacts, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tiny(
        "data.limit=1200",
        "sweep={trials: 3, epochs: 1, sampler: {name: grid}}",
        "searchSpace={batchSize: {choices: [32, 512, 64]}}",
    )
    prepare.run(experiment, settings, root)
    dataset = read_dataset(root, experiment.study_name)
    data = load_training_data(root, experiment, dataset, CPU)

    def body(run: RunningTrial) -> None:
        images = enlarged(data) if run.parameters["batchSize"] == 512 else data
        train_trial(run, experiment, dataset, images, processes=2)

    worker = Worker(experiment, settings, root.under(experiment.study_name))
    worker.work(body)
    worker.close()

    trials = status_of(settings).trials
    assert [trial.state for trial in trials] == [SlotState.COMPLETE, SlotState.FAILED, SlotState.COMPLETE]
    message = trials[1].message
    assert message is not None
    assert "\n" not in message
    assert message.startswith("out of memory on cpu with batches of 512 and a network of ")
    assert "can't allocate memory: you tried to allocate" in message
    assert message.endswith(
        "; smaller batches need less (searchSpace.batchSize), and so do fewer than 2 processes at once "
        "(PROCESSES, worker.processes in the chart)"
    )
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == settings.max_attempts
    assert all(record.getMessage().startswith("slot 1 failed: out of memory on cpu with") for record in told)
    assert not any(record.exc_info for record in told)


def test_final_training_out_of_memory_fails_in_one_line(
    settings: Settings, root: FolderArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny("sweep={trials: 1, epochs: 1}", "searchSpace={}")
    for stage in (prepare, sweep):
        stage.run(experiment, settings, root)
    data = load_training_data(root, experiment, read_dataset(root, experiment.study_name), CPU)
    monkeypatch.setattr(seed_training, "load_training_data", lambda *_, **__: enlarged(data))
    with pytest.raises(TrainingFailed) as failure:
        final_train.run(experiment, settings, root)
    message = str(failure.value)
    assert "\n" not in message
    assert message.startswith("out of memory on cpu with batches of ")
    assert "can't allocate memory: you tried to allocate" in message
    assert message.endswith("; it takes a device with more memory, or several that share each batch (finalTrain.gpus)")


def test_images_that_do_not_fit_are_told_in_one_line(settings: Settings, root: FolderArtifacts) -> None:
    experiment = tiny("data.limit=null")
    prepare.run(experiment, settings, root)
    command = [sys.executable, "-c", LOADING, str(root.root)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.count("\n") == 1, loaded.stdout
    assert loaded.stdout.startswith("scikit-learn digits: out of memory on cpu while 4.2 MiB of images were loaded: ")
    assert loaded.stdout.endswith("; fewer images (data.limit) or smaller ones (data.imageSize) need less\n")
