"""Memory that really runs out: the process may take no more than a little beyond what it has."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch

from jobs import prepare
from jobs.artifacts import FolderArtifacts
from jobs.datasets import DatasetTooLarge, load_training_data
from jobs.settings import Settings
from jobs.stored_dataset import read_dataset
from jobs.tables import SlotState
from jobs.train_trial import train_trial
from jobs.trial import TrialRun
from jobs.worker import Worker

from .conftest import tiny
from .sweeps import status_of

CPU = torch.device("cpu")
MEBIBYTE = 2**20


@contextmanager
def no_more_than(megabytes: int) -> Iterator[None]:
    """So much beyond what the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + megabytes * MEBIBYTE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


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

    def body(run: TrialRun) -> None:
        with no_more_than(8) if run.parameters["batchSize"] == 512 else nullcontext():
            train_trial(run, experiment, dataset, data, processes=2)

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


def test_images_that_do_not_fit_are_told_in_one_line(settings: Settings, root: FolderArtifacts) -> None:
    experiment = tiny("data.limit=null")
    prepare.run(experiment, settings, root)
    dataset = read_dataset(root, experiment.study_name)
    words = r"^scikit-learn digits: out of memory on cpu while 4\.2 MiB of images were loaded: .*; fewer images \(data.limit\)"
    with no_more_than(1), pytest.raises(DatasetTooLarge, match=words) as raised:
        load_training_data(root, experiment, dataset, CPU)
    assert "\n" not in str(raised.value)
