"""The stage `final-train`: the network of the best trial, trained to the end."""

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import torch

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.documents import ChosenTrial
from jobs.experiment.experiment import Experiment
from jobs.queue.best_trial import read_best_trial
from jobs.queue.claim import LeaseLost
from jobs.queue.database import Database
from jobs.queue.exclusive import FINAL_TRAINING, Hold, exclusively
from jobs.runtime import interrupt, logs
from jobs.runtime.device import select_device
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.stages.final_train.seed_training import Course, SeedTraining
from resnet_core.distributed import ALONE, Group, RankLost, Ranks


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Trains with the parameters of the best complete trial, once for each seed; continues from the last checkpoint.

    With JOB_COMPLETION_INDEX, this process trains only the seed of that number. If trials were added and another one is
    the best now, the final training is done again. Of several ranks, only the first claims a training, and writes.

    Raises:
        Interrupted: the process was asked to end; a checkpoint is saved.
        LeaseLost: another process has claimed the training since.
        SweepNotOver: some trials are not settled.
        TooFewCompleted: fewer trials than sweep.minCompleted are complete.
        TrainingFailed: the loss became infinite or not a number, or memory ran out.
        OutageTooLong, Refused: database or artifacts cannot be reached.

    """
    device = select_device(settings)
    seeds = range(experiment.final_train.seeds)
    if settings.job_completion_index is not None:
        seeds = range(settings.job_completion_index, settings.job_completion_index + 1)
    root = WaitingArtifacts(root, Patience(settings.outage_deadline_seconds))
    try:
        with _group(settings, device) as group, closing(Database.of(settings)) as database:
            best = read_best_trial(experiment, settings, root.under(experiment.study_name))
            logs.add_context(trial=best.number)
            trial = ChosenTrial(number=best.number, parameters=best.parameters)
            course = Course(experiment, root, database, trial, device, group, settings.checkpoint_seconds)
            for seed in seeds:
                with _claim(seed, experiment, settings, database, group) as hold:
                    SeedTraining(course, seed, hold).to_the_end()
    except RankLost:  # the lost rank logged the reason; gloo waits for it in threads that would abort a normal exit
        logging.shutdown()
        os._exit(interrupt.EXIT_INTERRUPTED)


@contextmanager
def _group(settings: Settings, device: torch.device) -> Iterator[Group]:
    if settings.ranks == 1:
        yield ALONE
        return
    rank, size, address = settings.own_rank, settings.ranks, settings.ranks_address
    ranks = Ranks(device, interrupt.beat, rank=rank, size=size, address=address)
    try:
        yield ranks
    except (interrupt.Interrupted, LeaseLost):
        ranks.leave()
        raise
    ranks.close()


@contextmanager
def _claim(
    seed: int, experiment: Experiment, settings: Settings, database: Database, group: Group
) -> Iterator[Hold | None]:
    """The claim on the training with one seed, which the first rank holds for all."""
    if group.rank:
        yield None
        return
    with exclusively(database, settings, experiment.study_name, FINAL_TRAINING, seed, steps=True) as hold:
        yield hold
