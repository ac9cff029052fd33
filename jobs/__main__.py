"""The command line: one subcommand a stage, and `local`, which runs them all on this machine."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from jobs import interrupt, logs
from jobs.artifacts import Artifacts
from jobs.experiment import Experiment
from jobs.experiment_file import ConfigurationError, load_experiment, preset_names
from jobs.settings import Settings, read_settings

EXIT_DONE, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 78

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 75 interrupted with progress saved, 78 bad configuration."""
    options = _parser().parse_args(arguments)
    try:
        experiment = load_experiment(options.preset, options.config, options.set)
        if options.command == "local":
            return _run_local(experiment, options)
        return _run_stage(options.command, experiment, read_settings())
    except ConfigurationError as error:
        print(f"resnet-sweep: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except interrupt.Interrupted:
        log.info("interrupted; the progress is saved, the same command goes on")
        return interrupt.EXIT_INTERRUPTED


def _run_stage(command: str, experiment: Experiment, settings: Settings) -> int:
    interrupt.listen()
    logs.configure(settings.log_format)
    root = Artifacts(Path(settings.artifacts_url))
    if command != "prepare":  # which keeps its log from the moment it has found nothing wrong
        name = f"{command}-{settings.job_completion_index}" if command == "sweep" else command
        logs.keep(root.root / experiment.study_name / "logs" / f"{name}.log", settings.log_format)
    try:
        _stage(command, settings)(experiment, settings, root)
    except (ConfigurationError, interrupt.Interrupted):
        raise
    except Exception:
        log.exception("%s failed", command)
        return EXIT_FAILED
    return EXIT_DONE


def _stage(command: str, settings: Settings) -> Callable[[Experiment, Settings, Artifacts], None]:
    """Only what trains imports torch: each stage is imported when it is run."""
    import torch  # noqa: PLC0415

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    match command:
        case "prepare":
            from jobs.prepare import run  # noqa: PLC0415
        case "sweep":
            from jobs.sweep import run  # noqa: PLC0415
        case "final-train":
            from jobs.final_train import run  # noqa: PLC0415
        case "evaluate":
            from jobs.evaluate import run  # noqa: PLC0415
    return run


def _run_local(experiment: Experiment, options: argparse.Namespace) -> int:
    from jobs.local import StageFailed, run_all  # noqa: PLC0415

    source = ["--config", str(options.config)] if options.config else ["--preset", options.preset or "quick"]
    source += [f"--set={override}" for override in options.set]
    try:
        run_all(experiment, source, options.runs, options.workers)
    except StageFailed as failure:
        if failure.exit_code == EXIT_CONFIGURATION:  # the stage has said what is wrong
            return EXIT_CONFIGURATION
        log.error("%s", failure)  # noqa: TRY400 - the stage has shown its traceback
        return EXIT_FAILED
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resnet-sweep", description=__doc__)
    parser.add_argument("--version", action="version", version=metadata.version("resnet-sweep"))
    which = argparse.ArgumentParser(add_help=False)
    source = which.add_mutually_exclusive_group()
    source.add_argument("--preset", help=f"one of {', '.join(preset_names())}; default: quick")
    source.add_argument("--config", type=Path, metavar="FILE", help="an experiment of your own")
    which.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        help="change one field of it, for example sweep.trials=4; may be repeated",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("prepare", "check the experiment, store the data set, create the study"),
        ("sweep", "run trials until none is left"),
        ("final-train", "train the best configuration to the end"),
        ("evaluate", "test it once and write the report"),
    ):
        commands.add_parser(
            name, parents=[which], help=text, description=f"{text}; the place is read from the environment"
        )
    local = commands.add_parser("local", parents=[which], help="all of these on this machine")
    local.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where results go (runs)")
    local.add_argument("--workers", type=int, metavar="N", help="worker processes; default: one a GPU, or a CPU core")
    return parser


if __name__ == "__main__":
    sys.exit(main())
