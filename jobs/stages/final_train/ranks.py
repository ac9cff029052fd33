"""One final training on several GPUs: a rank a GPU, each a process that is started and watched from here."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jobs.experiment.experiment import Experiment
from jobs.queue.best_trial import read_best_trial
from jobs.runtime import interrupt
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.heartbeat import file_of
from jobs.runtime.settings import Settings
from resnet_core.cores import threads_each

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
FEW_IMAGES = 32  # of a batch on each rank: of fewer, batch statistics of their own are not those of the whole
GRACE_SECONDS = 10  # once a rank has failed: time for the others to keep their logs; what they wait for never comes
INTERRUPTED = (interrupt.EXIT_INTERRUPTED, -signal.SIGTERM)  # the latter before a rank has begun to listen
HERE = "127.0.0.1"


def run_ranks(experiment: Experiment, settings: Settings, arguments: Sequence[str]) -> int:
    """Runs `python -m jobs` with `arguments` once a rank and waits for all; SIGTERM is passed on.

    When one fails the others are ended, too: none can go on alone. Returns 0, 75 after an interruption, 128 + N after
    signal N, else the exit code of a rank that has failed and said why.

    Raises:
        ConfigurationError: the ranks cannot share the batch of the best trial, or DEVICE names one GPU for all.
        Interrupted: the process was asked to end before there was a rank.
        Failure: there is no best trial, or it cannot be read.

    """
    _check(experiment, settings)
    interrupt.end()  # from here on each rank gives signs of life of its own
    with _free_port() as port:
        ranks = [_start(rank, port, settings, arguments) for rank in range(settings.ranks)]
        try:
            codes = _watch(ranks)
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()
                if settings.heartbeat_dir is not None:
                    file_of(settings.heartbeat_dir, rank.pid).unlink(missing_ok=True)  # of one that was killed
    failed = {index: code for index, code in codes.items() if code not in (0, *INTERRUPTED)}
    for index, code in failed.items():
        if code < 0:
            log.error("final-train failed: rank %d of %d was ended by signal %d", index, settings.ranks, -code)
            return 128 - code
    return max(failed.values(), default=interrupt.EXIT_INTERRUPTED if any(codes.values()) else 0)


def end_with(launcher: int) -> None:
    """Ends this rank soon after the process that has started it, however that ends: nobody would watch it any more."""

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(POLL_SECONDS)
        os._exit(interrupt.EXIT_INTERRUPTED)

    threading.Thread(target=watch, name="launcher", daemon=True).start()


def _check(experiment: Experiment, settings: Settings) -> None:
    """Finds what every rank would find, so that it is said once."""
    best = read_best_trial(experiment, settings)
    recipe, _ = experiment.with_parameters(best.parameters)
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


def _watch(ranks: list[subprocess.Popen[bytes]]) -> dict[int, int]:
    """Waits until all have ended, or until their time is over once one has failed.

    Returns the exit codes of those that ended by themselves.
    """
    told, deadline = False, float("inf")
    codes: dict[int, int] = {}
    while len(codes) < len(ranks) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        codes = {index: code for index, rank in enumerate(ranks) if (code := rank.poll()) is not None}
        failed = any(codes.values())
        if not told and (failed or interrupt.requested()):
            told = True
            for rank in ranks:
                rank.terminate()
        if failed:
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
    return codes


def _start(rank: int, port: int, settings: Settings, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    place = {
        "RANK": rank,
        "RANKS_ADDRESS": f"{HERE}:{port}",
        "LAUNCHER_PID": os.getpid(),
        "THREADS": settings.threads or threads_each(settings.ranks),
    }
    environment = {**os.environ, **{name: str(value) for name, value in place.items()}}
    return subprocess.Popen([sys.executable, "-m", "jobs", *arguments], stdin=subprocess.DEVNULL, env=environment)


@contextmanager
def _free_port() -> Iterator[int]:
    """A port that nobody but our first rank gets: bound here, without listening, as long as the block runs."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HERE, 0))
        yield held.getsockname()[1]
