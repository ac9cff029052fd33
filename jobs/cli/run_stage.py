"""Runs one stage: in this process with a log that is kept, or as worker or rank processes. Returns its exit code."""

import argparse
import contextlib
import gc
import logging
from collections.abc import Callable
from functools import partial

from jobs.artifacts import Artifacts, open_artifacts
from jobs.artifacts.keys import log_key
from jobs.artifacts.stage_log import StageLog
from jobs.cli.arguments import experiment_options_of
from jobs.cli.exit_codes import EXIT_CONFIGURATION, EXIT_DONE, EXIT_FAILED, EXIT_STAGE_FAILED
from jobs.experiment.experiment import Experiment
from jobs.queue.claim import LeaseLost
from jobs.runtime import interrupt, logs
from jobs.runtime.child_processes import end_with_launcher
from jobs.runtime.errors import ConfigurationError, Failure, Refused
from jobs.runtime.identity import owner_identity
from jobs.runtime.retry import NeverAnswered
from jobs.runtime.settings import Settings, read_settings

STAGES_WITH_HEARTBEAT = ("sweep", "final-train")  # they train, and each training step touches the heartbeat file
STAGES_OF_SEVERAL_PODS = ("sweep", "final-train")  # JOB_COMPLETION_INDEX tells their pods apart

log = logging.getLogger(__name__)


def run_stage(options: argparse.Namespace, experiment: Experiment) -> int:
    """Runs the stage, or the pipeline, that `options.command` names.

    Raises:
        ConfigurationError: the experiment or the environment cannot be run.
        Interrupted: the process was asked to end.
        Failure: before the stage has begun, something outside the program was wrong.

    """
    command = options.command
    if command == "pipeline":
        from jobs.cli.make_passwords import make_passwords  # noqa: PLC0415 - it needs a client for Kubernetes

        make_passwords(options.stages)
        settings = read_settings_of_pipeline()
    else:
        settings = read_settings()
    interrupt.listen(settings.heartbeat_dir if command in STAGES_WITH_HEARTBEAT else None)
    if settings.launcher_pid is not None:
        end_with_launcher(settings.launcher_pid)
    logs.configure(settings.log_format, logging.WARNING if settings.own_rank else logging.INFO)
    if command == "sweep" and settings.processes > 1:
        from jobs.stages.sweep.worker_processes import run_processes  # noqa: PLC0415

        interrupt.end()  # each worker process has a heartbeat of its own
        return run_processes(settings, [command, *experiment_options_of(options)])
    if command == "final-train" and settings.ranks > 1 and not settings.ranks_address:
        from jobs.stages.final_train.ranks import run_ranks  # noqa: PLC0415

        return run_ranks(experiment, settings, open_root(settings), [command, *experiment_options_of(options)])
    return run_in_this_process(options, experiment, settings)


def run_in_this_process(options: argparse.Namespace, experiment: Experiment, settings: Settings) -> int:
    command, root = options.command, open_root(settings)
    index = settings.job_completion_index
    name = command if index is None or command not in STAGES_OF_SEVERAL_PODS else f"{command}-{index}"
    kept = StageLog(root.under(experiment.study_name), log_key(name, owner_identity()), settings.log_format)
    keep = True
    try:
        stage = import_stage(options, settings)
        # `prepare` writes nothing, not even its log, before it knows that the experiment can be run.
        with contextlib.nullcontext() if command == "prepare" else kept.published():
            stage(experiment, settings, root)
    except ConfigurationError:
        keep = False
        raise
    except interrupt.Interrupted:
        raise
    except LeaseLost as lost:  # it is done elsewhere, or will be once this process is started again
        log.warning("%s: %s", command, lost)
        return interrupt.EXIT_INTERRUPTED
    except Failure as failure:
        log.error("%s failed: %s", command, failure)  # noqa: TRY400 - the message is enough
        if command == "prepare" and isinstance(failure, Refused):
            keep = False
            return EXIT_CONFIGURATION
        again = isinstance(failure, NeverAnswered)  # a host's name may only be known later
        return EXIT_STAGE_FAILED if command == "pipeline" and not again else EXIT_FAILED
    except Exception:
        log.exception("%s failed", command)
        return EXIT_FAILED
    finally:
        if keep:
            kept.publish()
        kept.close()
        interrupt.end()
    return EXIT_DONE


def read_settings_of_pipeline() -> Settings:
    """The settings. If one is missing, that is no wrong configuration, because its Secret may be created later.

    Raises:
        Failure: a variable is missing or has a value that is not allowed; the exit code is then not 78.

    """
    try:
        return read_settings()
    except ConfigurationError as error:
        secret = "the Secret that database.existingSecret names has to hold it, under database.secretKey"
        raise Failure(f"{error}; {secret}" if "DATABASE_URL" in str(error) else str(error)) from None


def open_root(settings: Settings) -> Artifacts:
    """The folder or bucket that ARTIFACTS_URL names.

    Raises:
        ConfigurationError: it names none.

    """
    try:
        return open_artifacts(settings)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def import_stage(options: argparse.Namespace, settings: Settings) -> Callable[[Experiment, Settings, Artifacts], None]:
    """The function that runs the stage. It is imported only here, so that the pipeline does not import torch."""
    if options.command == "pipeline":
        from jobs.runners.kubernetes import pipeline  # noqa: PLC0415

        return partial(pipeline.run, stages=options.stages, owner=options.owner, revision=options.revision)
    gc.disable()  # collections during the import of torch find nothing, and would take a seventh of its time
    from resnet_core.device import use_threads  # noqa: PLC0415

    use_threads(settings.threads)
    match options.command:
        case "prepare":
            from jobs.stages.prepare import run  # noqa: PLC0415
        case "sweep":
            from jobs.stages.sweep.stage import run  # noqa: PLC0415
        case "final-train":
            from jobs.stages.final_train.stage import run  # noqa: PLC0415
        case "evaluate":
            from jobs.stages.evaluate.stage import run  # noqa: PLC0415
    gc.freeze()
    gc.enable()
    return run
