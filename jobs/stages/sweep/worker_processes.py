"""Several worker processes on one GPU, each a worker of its own with its own lease."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from jobs.runtime import interrupt
from jobs.runtime.heartbeat import file_of
from jobs.runtime.settings import Settings
from resnet_core.cores import threads_each

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RESTARTS = 3  # of one process; then its lease is left to the others, and the exit code tells


def run_processes(settings: Settings, arguments: Sequence[str]) -> int:
    """Runs `python -m jobs` with `arguments` PROCESSES times at once and waits for all.

    They divide the cores and the GPU's memory among them. One that is lost is started anew, for the others would go on
    with a gap beside them. SIGTERM is passed on.
    Returns 0 when the last of each have ended with 0, else the exit code of one that has not; 128 + N after signal N.
    """
    count, heartbeat_dir = settings.processes, settings.heartbeat_dir
    environment = {
        **os.environ,
        "PROCESSES": "1",
        "THREADS": str(settings.threads or threads_each(count)),
        "GPU_PROCESSES": str(count * settings.gpu_processes),
    }

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "jobs", *arguments], stdin=subprocess.DEVNULL, env=environment)

    running = {index: start() for index in range(count)}
    starts, codes = dict.fromkeys(running, 1), dict.fromkeys(running, 0)
    told = False
    while running:
        time.sleep(POLL_SECONDS)
        if interrupt.requested() and not told:
            told = True
            for process in running.values():
                process.terminate()
        for index, process in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            del running[index]
            if heartbeat_dir is not None:
                file_of(heartbeat_dir, process.pid).unlink(missing_ok=True)  # of one that was killed
            codes[index] = code if code >= 0 else 128 - code
            if code < 0 and not told and starts[index] <= RESTARTS:
                log.warning("process %d of %d was ended by signal %d and is started anew", index + 1, count, -code)
                starts[index] += 1
                running[index] = start()
    return max(codes.values())
