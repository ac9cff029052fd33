"""One final training on several GPUs: one rank a GPU, each a process that is started and watched from here."""

import logging
import signal
import time
from collections.abc import Sequence

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.experiment.experiment import Experiment
from jobs.queue.best_trial import read_best_trial
from jobs.queue.status import TrialStatus
from jobs.runtime import interrupt
from jobs.runtime.child_processes import ChildProcesses, shell_exit_code
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from resnet_core.cores import threads_each
from resnet_core.loopback import HERE, free_port

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
FEW_IMAGES = 32  # on each rank: statistics of fewer images differ noticeably from those of the whole batch
GRACE_SECONDS = 10  # after one rank has failed: time for the others to save their logs, since they wait in vain for it
INTERRUPTED = (interrupt.EXIT_INTERRUPTED, -signal.SIGTERM)  # the second if SIGTERM came before the rank listened


def run_ranks(experiment: Experiment, settings: Settings, root: Artifacts, arguments: Sequence[str]) -> int:
    """Runs `python -m jobs` with `arguments` in one process for each rank and waits for all; SIGTERM is passed on.

    If one fails, the others are ended too, because none can go on alone. Returns 0, 75 after an interruption, 128 + N
    after signal N, else the exit code of a rank that has failed and logged the reason.

    Raises:
        ConfigurationError: the ranks cannot share the batch of the best trial, or DEVICE names one GPU for all.
        Interrupted: the process was asked to end before there was a rank.
        Failure: there is no best trial, or it cannot be read.

    """
    root = WaitingArtifacts(root, Patience(settings.outage_deadline_seconds))
    best = read_best_trial(experiment, settings, root.under(experiment.study_name))
    _check_ranks_can_share(experiment, settings, best)
    interrupt.end()  # from here on each rank has a heartbeat of its own
    codes: dict[int, int] = {}
    with free_port() as port, ChildProcesses(GRACE_SECONDS, settings.heartbeat_dir) as ranks:
        for rank in range(settings.ranks):
            ranks.start(rank, arguments, _place_of_rank(rank, port, settings))
        while ranks.running and not any(codes.values()):
            time.sleep(POLL_SECONDS)
            if interrupt.requested():
                ranks.terminate()
            codes |= {rank: child.returncode for rank, child in ranks.take_ended().items()}
        codes |= {rank: child.returncode for rank, child in ranks.stop().items()}
    if interrupt.requested() and codes.get(0) == interrupt.EXIT_INTERRUPTED:
        return interrupt.EXIT_INTERRUPTED  # all is saved; gloo sometimes aborts a rank that leaves before another
    failed = {rank: code for rank, code in codes.items() if code not in (0, *INTERRUPTED)}
    for rank, code in failed.items():
        if code < 0:
            log.error("final-train failed: rank %d of %d was ended by signal %d", rank, settings.ranks, -code)
            return shell_exit_code(code)
    return max(failed.values(), default=interrupt.EXIT_INTERRUPTED if any(codes.values()) else 0)


def _check_ranks_can_share(experiment: Experiment, settings: Settings, best: TrialStatus) -> None:
    """Checks here what each rank would find wrong, so that the message appears once."""
    recipe = experiment.with_parameters(best.parameters).training
    try:
        share = recipe.rank_batch_size(settings.ranks)
    except ValueError:
        size = f"training.batchSize={recipe.batch_size}: a multiple of finalTrain.gpus={settings.ranks}"
        raise ConfigurationError(f"{size}, 2 images a GPU or more") from None
    if settings.device.startswith("cuda:"):
        raise ConfigurationError(f"DEVICE={settings.device}: cuda, auto or cpu with RANKS={settings.ranks}")
    if share < FEW_IMAGES:
        log.warning(
            "finalTrain.gpus=%d: each GPU has %d images of training.batchSize=%d, fewer than %d, whose batch norm is "
            "rougher than that of one GPU: the result may be worse",
            settings.ranks,
            share,
            recipe.batch_size,
            FEW_IMAGES,
        )


def _place_of_rank(rank: int, port: int, settings: Settings) -> dict[str, object]:
    """The variables that tell a rank its number, where the ranks meet, and its share of the cores."""
    return {
        "RANK": rank,
        "RANKS_ADDRESS": f"{HERE}:{port}",
        "THREADS": settings.threads or threads_each(settings.ranks),
    }
