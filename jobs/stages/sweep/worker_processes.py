"""Several worker processes on one GPU, each a worker of its own with its own lease."""

import logging
import time
from collections.abc import Sequence

from jobs.runtime import interrupt
from jobs.runtime.child_processes import ChildProcesses, shell_exit_code
from jobs.runtime.settings import Settings
from resnet_core.cores import threads_each

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
GRACE_SECONDS = 30  # between SIGTERM and SIGKILL, only after an error in this process
RESTARTS = 3  # of one process; after that the other workers take over its trial, and the exit code reports the failure


def run_processes(settings: Settings, arguments: Sequence[str]) -> int:
    """Runs `python -m jobs` with `arguments` in PROCESSES processes at once and waits for all of them.

    They divide the cores and the GPU's memory among them. A process that was killed is started again, because its share
    of the GPU would be idle until the others are done. SIGTERM is passed on.
    Returns 0 if the last process of each place has ended with 0, else the highest exit code; 128 + N after signal N.
    """
    count = settings.processes
    share = {
        "PROCESSES": 1,
        "THREADS": settings.threads or threads_each(count),
        "GPU_PROCESSES": count * settings.gpu_processes,
    }
    starts, codes = [1] * count, [0] * count
    with ChildProcesses(GRACE_SECONDS, settings.heartbeat_dir) as workers:
        for index in range(count):
            workers.start(index, arguments, share)
        while workers.running:
            time.sleep(POLL_SECONDS)
            if interrupt.requested():
                workers.terminate()
            for index, worker in workers.take_ended().items():
                code = worker.returncode
                codes[index] = shell_exit_code(code)
                if code < 0 and not interrupt.requested() and starts[index] <= RESTARTS:
                    log.warning("process %d of %d was ended by signal %d and is started anew", index + 1, count, -code)
                    starts[index] += 1
                    workers.start(index, arguments, share)
    return max(codes)
