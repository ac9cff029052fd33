"""The process that `startup.py` starts: `sweep`, which says on a pipe when each stage of its start is done."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

PIPE = int(sys.argv[1])


def done(stage: str) -> None:
    os.write(PIPE, f"{json.dumps([stage, time.monotonic()])}\n".encode())


class Imports:
    """Asked by Python for every module before it is imported; finds none itself."""

    def __init__(self) -> None:
        self._stages = {"torch": "experiment and settings read", "jobs.stages.sweep.stage": "import torch"}

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if stage := self._stages.pop(name, None):
            done(stage)


def after(owner: Any, name: str, then: Callable[[], None]) -> None:
    function = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        then()
        return result

    setattr(owner, name, call)


def before(owner: Any, name: str, stage: str) -> None:
    """The first time."""
    function, told = getattr(owner, name), []

    def call(*arguments: Any, **named: Any) -> Any:
        if not told:
            told.append(stage)
            done(stage)
        return function(*arguments, **named)

    setattr(owner, name, call)


def watch() -> None:
    import torch  # noqa: PLC0415 - the stage has imported it, at its own time
    from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: PLC0415

    import jobs.stages.sweep.running_trial  # noqa: PLC0415
    import jobs.stages.sweep.stage  # noqa: PLC0415
    import jobs.stages.sweep.train_trial  # noqa: PLC0415

    def begin_cuda() -> None:
        if torch.cuda.is_available() and os.environ["DEVICE"] != "cpu":
            torch.zeros(1, device="cuda")
        done("device chosen, on CUDA its context made")

    def end(*_of_hook: object) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        done("first step")
        os.kill(os.getpid(), signal.SIGTERM)

    done("import jobs.stages.sweep.stage: Optuna, SQLAlchemy, torch-pruning")
    after(jobs.stages.sweep.stage, "select_device", begin_cuda)
    after(jobs.stages.sweep.stage, "Worker", lambda: done("database: connected, the study checked"))
    after(jobs.stages.sweep.stage, "load_training_data", lambda: done("images read, checked, on the device"))
    before(jobs.stages.sweep.stage, "train_trial", "slot claimed, parameters drawn")
    before(
        jobs.stages.sweep.train_trial,
        "train",
        "network counted (imports torch._dynamo, which the optimizer needs too), built, pruned",
    )
    before(jobs.stages.sweep.running_trial.RunningTrial, "step", "optimizer, first batch")
    register_optimizer_step_post_hook(end)


def main() -> int:
    from jobs.cli import main as command_line  # noqa: PLC0415 - a stage of the start
    from jobs.cli import run_stage  # noqa: PLC0415

    done("Python, import of the command line")
    sys.meta_path.insert(0, Imports())  # type: ignore[arg-type]
    after(run_stage, "import_stage", watch)
    return command_line.main(["sweep", "--preset", "quick"])


if __name__ == "__main__":
    sys.exit(main())
