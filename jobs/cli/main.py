"""The command line: one subcommand a stage, `local`, which runs them all, and what people do with a sweep."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from jobs.artifacts import Artifacts, open_artifacts
from jobs.artifacts.keys import log_key
from jobs.artifacts.stage_log import StageLog
from jobs.cli.arguments import STAGES, parser
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.runtime import interrupt, logs
from jobs.runtime.errors import ConfigurationError, Failure, Refused
from jobs.runtime.settings import Settings, owner_identity, read_settings

EXIT_DONE, EXIT_FAILED, EXIT_STAGE_FAILED, EXIT_CONFIGURATION, EXIT_CTRL_C = 0, 1, 70, 78, 130
LONG_STAGES = ("sweep", "final-train")  # the others give no sign of life between their beginning and their end

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 75 interrupted with progress saved, 78 bad configuration."""
    options = parser().parse_args(arguments)
    try:
        if options.command in STAGES:
            return _run_stage(options, _experiment(options), read_settings())
        if options.command == "pipeline":
            return _run_stage(options, _experiment(options), _settings_of_pipeline())
        if options.command == "local":
            return _run_local(_experiment(options), options)
        return _run_operation(options)
    except ConfigurationError as error:
        print(f"resnet-sweep: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except Failure as failure:
        print(f"resnet-sweep: {failure}", file=sys.stderr)
        return EXIT_FAILED
    except interrupt.Interrupted:
        log.info("interrupted; the progress is saved, the same command goes on")
        return interrupt.EXIT_INTERRUPTED
    except KeyboardInterrupt:  # of a command that does not listen: nothing half-done stays behind
        return EXIT_CTRL_C
    except BrokenPipeError:  # whoever read our lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


def _experiment(options: argparse.Namespace) -> Experiment:
    return load_experiment(options.preset, options.config, options.set)


def _source(options: argparse.Namespace) -> list[str]:
    """The options that name the same experiment to another process."""
    source = ["--config", str(options.config)] if options.config else ["--preset", options.preset or "quick"]
    return source + [f"--set={override}" for override in options.set]


def _run_stage(options: argparse.Namespace, experiment: Experiment, settings: Settings) -> int:
    command = options.command
    interrupt.listen(settings.heartbeat_dir if command in LONG_STAGES else None)
    logs.configure(settings.log_format, logging.WARNING if settings.own_rank else logging.INFO)
    if command == "sweep" and settings.processes > 1:
        return _run_processes(options, settings)
    if command == "final-train" and settings.ranks > 1 and settings.launcher_pid is None:
        return _run_ranks(options, experiment, settings)
    root = _open_root(settings)
    index = settings.job_completion_index
    name = command if index is None or command not in LONG_STAGES else f"{command}-{index}"
    kept = StageLog(root.under(experiment.study_name), log_key(name, owner_identity()), settings.log_format)
    keep = True
    try:
        stage = _stage(options, settings)
        if command == "prepare":
            stage(experiment, settings, root)
        else:
            with kept.published():
                stage(experiment, settings, root)
    except ConfigurationError:
        keep = False  # of a run that cannot be nothing is written
        raise
    except interrupt.Interrupted:
        raise
    except Failure as failure:
        log.error("%s failed: %s", command, failure)  # noqa: TRY400 - the message says it all
        if command == "prepare" and isinstance(failure, Refused):
            keep = False
            return EXIT_CONFIGURATION
        return EXIT_STAGE_FAILED if command == "pipeline" else EXIT_FAILED
    except Exception:
        log.exception("%s failed", command)
        return EXIT_FAILED
    finally:
        if keep:
            kept.publish()
        kept.close()
        interrupt.end()
    return EXIT_DONE


def _settings_of_pipeline() -> Settings:
    """What is missing may be there the next time, since a Secret can be made after the release: no exit code 78."""
    try:
        return read_settings()
    except ConfigurationError as error:
        secret = "the Secret that database.existingSecret names has to hold it, under database.secretKey"
        raise Failure(f"{error}; {secret}" if "DATABASE_URL" in str(error) else str(error)) from None


def _open_root(settings: Settings) -> Artifacts:
    try:
        return open_artifacts(settings.artifacts_url, settings.s3_options())
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _run_processes(options: argparse.Namespace, settings: Settings) -> int:
    from jobs.stages.sweep.worker_processes import run_processes  # noqa: PLC0415

    interrupt.end()  # each of them gives signs of life of its own
    return run_processes(settings, ["sweep", *_source(options)])


def _run_ranks(options: argparse.Namespace, experiment: Experiment, settings: Settings) -> int:
    from jobs.stages.final_train.ranks import run_ranks  # noqa: PLC0415

    return run_ranks(experiment, settings, ["final-train", *_source(options)])


def _stage(options: argparse.Namespace, settings: Settings) -> Callable[[Experiment, Settings, Artifacts], None]:
    """Only what trains imports torch: each stage is imported when it is run."""
    if options.command == "pipeline":
        from jobs.runners.kubernetes import pipeline  # noqa: PLC0415

        return partial(pipeline.run, stages=options.stages, owner=options.owner, revision=options.revision)
    gc.disable()  # of the seconds that torch takes, a seventh would go into looking for garbage among what stays
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


def _run_local(experiment: Experiment, options: argparse.Namespace) -> int:
    from jobs.runners.local import StageFailed, run_all  # noqa: PLC0415

    try:
        run_all(experiment, _source(options), options.runs, options.workers)
    except StageFailed as failure:
        if failure.exit_code == EXIT_CONFIGURATION:  # the stage has said what is wrong
            return EXIT_CONFIGURATION
        log.error("%s", failure)  # noqa: TRY400 - the stage has shown its traceback
        return EXIT_FAILED
    return EXIT_DONE


def _run_operation(options: argparse.Namespace) -> int:
    from jobs.cli import result_commands, sweep_commands  # noqa: PLC0415

    match options.command:
        case "status":
            sweep_commands.status(options.study, options.runs, watch=options.watch, as_json=options.json)
        case "check":
            _check(options)
        case "stop":
            sweep_commands.stop(options.study, options.runs, now=options.now)
        case "export":
            sweep_commands.export(options.study, options.runs, options.file)
        case "import":
            sweep_commands.import_(options.file)
        case "verify":
            return EXIT_DONE if result_commands.verify(options.result) else EXIT_FAILED
        case "fetch":
            result_commands.fetch(options.result, options.to, partial=options.partial)
        case "compare":
            result_commands.compare([options.result, *options.others], options.to)
        case "predict":
            from jobs.cli import predict  # noqa: PLC0415 - the only one that needs torch

            predict.run(options.model, options.images, top=options.top, device=options.device, as_json=options.json)
    sys.stdout.flush()  # here a closed pipe is noticed
    return EXIT_DONE


def _check(options: argparse.Namespace) -> None:
    from jobs.cli.check_services import check_change, check_services  # noqa: PLC0415

    experiment = load_experiment(None, options.config, []) if options.config else None
    interrupt.listen()
    settings = read_settings()
    root = _open_root(settings)
    if experiment is None:
        check_services(settings, root)
    else:
        check_change(experiment, settings, root)
