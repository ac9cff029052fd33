"""The command line: parse, dispatch, exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from jobs.cli.arguments import STAGES, experiment_options_of, parser, refuse_empty, refuse_unknown
from jobs.cli.exit_codes import EXIT_CONFIGURATION, EXIT_CTRL_C, EXIT_DONE, EXIT_FAILED
from jobs.cli.run_stage import run_stage
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.runtime import interrupt, logs
from jobs.runtime.env_file import read_env_file
from jobs.runtime.errors import ConfigurationError, Failure
from jobs.runtime.openmp import wait_briefly
from jobs.runtime.terminal import complain, use_any_encoding

log = logging.getLogger(__name__)


@logs.context()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    use_any_encoding()
    wait_briefly()
    read_env_file()
    given = sys.argv[1:] if arguments is None else arguments
    top = parser()
    options, unknown = top.parse_known_args(given)
    if unknown:
        refuse_unknown(top, options.command, unknown)
    if options.command is None:
        top.print_help()
        return EXIT_DONE
    try:
        refuse_empty(given)
        if options.command in (*STAGES, "pipeline", "local"):
            return run_experiment(options)
        return run_operation(options)
    except ConfigurationError as error:
        complain(error)
        return EXIT_CONFIGURATION
    except Failure as failure:
        complain(failure)
        return EXIT_FAILED
    except interrupt.Interrupted:
        log.info("interrupted; the progress is saved, the same command goes on")
        return interrupt.EXIT_INTERRUPTED
    except KeyboardInterrupt:  # in a command that leaves nothing half done, and so does not catch Ctrl-C
        return EXIT_CTRL_C
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


def run_experiment(options: argparse.Namespace) -> int:
    """Runs one stage of an experiment, or with `pipeline` and `local` all of them."""
    experiment = load_experiment(options.preset, options.config, options.set)
    logs.add_context(stage=options.command, study=experiment.study_name)
    if options.command == "local":
        return run_local(options, experiment)
    return run_stage(options, experiment)


def run_local(options: argparse.Namespace, experiment: Experiment) -> int:
    from jobs.runners.local import StageFailed, run_all  # noqa: PLC0415

    try:
        run_all(experiment, experiment_options_of(options), options.runs, options.workers)
    except StageFailed as failure:
        if failure.exit_code == EXIT_CONFIGURATION:  # the stage has printed what is wrong
            return EXIT_CONFIGURATION
        log.error("%s", failure)  # noqa: TRY400 - the stage has printed its traceback
        return EXIT_FAILED
    return EXIT_DONE


def run_operation(options: argparse.Namespace) -> int:
    """Runs a command that people use on a sweep or a result. Each imports only what it needs, to start quickly."""
    from jobs.cli import result_commands, sweep_commands  # noqa: PLC0415

    match options.command:
        case "init":
            from jobs.cli.init import init  # noqa: PLC0415 - it needs torch

            init(options.source, options.data, options.file)
        case "status":
            sweep_commands.status(options.study, options.runs, watch=options.watch, as_json=options.json)
        case "check" if options.device:
            from jobs.cli import check_device  # noqa: PLC0415 - it needs torch

            return EXIT_DONE if check_device.check(options.device) else EXIT_FAILED
        case "check":
            from jobs.cli.check_services import check  # noqa: PLC0415

            check(options.config)
        case "stop":
            sweep_commands.stop(options.study, options.runs, now=options.now)
        case "export" if options.to:
            sweep_commands.export_trainings(options.study, options.runs, options.to, options.at)
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
    sys.stdout.flush()  # raises BrokenPipeError here, and not when Python exits
    return EXIT_DONE
