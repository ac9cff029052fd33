"""The command line: one subcommand a stage, `local`, which runs them all, and what people do with a sweep."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

from jobs import interrupt, logs
from jobs.artifacts import Artifacts, open_artifacts
from jobs.experiment import Experiment
from jobs.experiment_file import ConfigurationError, load_experiment, preset_names
from jobs.failure import Failure, Refused
from jobs.settings import Settings, owner_identity, read_settings

EXIT_DONE, EXIT_FAILED, EXIT_STAGE_FAILED, EXIT_CONFIGURATION, EXIT_CTRL_C = 0, 1, 70, 78, 130
STAGES = {
    "prepare": "check the experiment, store the data set, create the study",
    "sweep": "run trials until none is left",
    "final-train": "train the best configuration to the end",
    "evaluate": "test it once and write the report",
}
LONG_STAGES = ("sweep", "final-train")  # the others give no sign of life between their beginning and their end

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 75 interrupted with progress saved, 78 bad configuration."""
    options = _parser().parse_args(arguments)
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
    logs.configure(settings.log_format)
    if command == "sweep" and settings.processes > 1:
        return _run_processes(options, settings)
    root = _open_root(settings)
    index = settings.job_completion_index
    name = command if index is None or command not in LONG_STAGES else f"{command}-{index}"
    kept = logs.KeptLog(root.under(experiment.study_name), f"logs/{name}-{owner_identity()}.log", settings.log_format)
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
    from jobs.processes import run_processes  # noqa: PLC0415

    interrupt.end()  # each of them gives signs of life of its own
    return run_processes(settings.processes, ["sweep", *_source(options)], settings.heartbeat_dir)


def _stage(options: argparse.Namespace, settings: Settings) -> Callable[[Experiment, Settings, Artifacts], None]:
    """Only what trains imports torch: each stage is imported when it is run."""
    if options.command == "pipeline":
        from jobs import pipeline  # noqa: PLC0415

        return partial(pipeline.run, stages=options.stages, owner=options.owner, revision=options.revision)
    import torch  # noqa: PLC0415

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    match options.command:
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

    try:
        run_all(experiment, _source(options), options.runs, options.workers)
    except StageFailed as failure:
        if failure.exit_code == EXIT_CONFIGURATION:  # the stage has said what is wrong
            return EXIT_CONFIGURATION
        log.error("%s", failure)  # noqa: TRY400 - the stage has shown its traceback
        return EXIT_FAILED
    return EXIT_DONE


def _run_operation(options: argparse.Namespace) -> int:
    from jobs import operations  # noqa: PLC0415

    match options.command:
        case "status":
            operations.status(options.study, options.runs, watch=options.watch, as_json=options.json)
        case "check":
            _check(options)
        case "stop":
            operations.stop(options.study, options.runs, now=options.now)
        case "export":
            operations.export(options.study, options.runs, options.file)
        case "import":
            operations.import_(options.file)
        case "verify":
            return EXIT_DONE if operations.verify(options.result) else EXIT_FAILED
        case "fetch":
            operations.fetch(options.result, options.to, partial=options.partial)
        case "compare":
            operations.compare([options.result, *options.others], options.to)
        case "predict":
            from jobs import predict  # noqa: PLC0415 - the only one that needs torch

            predict.run(options.model, options.images, top=options.top, device=options.device, as_json=options.json)
    sys.stdout.flush()  # here a closed pipe is noticed
    return EXIT_DONE


def _check(options: argparse.Namespace) -> None:
    from jobs.check import check_change, check_services  # noqa: PLC0415

    experiment = load_experiment(None, options.config, []) if options.config else None
    interrupt.listen()
    settings = read_settings()
    root = _open_root(settings)
    if experiment is None:
        check_services(settings, root)
    else:
        check_change(experiment, settings, root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resnet-sweep", description=__doc__)
    parser.add_argument("--version", action="version", version=metadata.version("resnet-sweep"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    which = _experiment_options()
    local = commands.add_parser("local", parents=[which], help="all stages on this machine")
    local.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where results go (runs)")
    local.add_argument("--workers", type=int, metavar="N", help="worker processes; default: one a GPU, or a CPU core")
    for name, text in STAGES.items():
        place = f"{text}; DATABASE_URL, ARTIFACTS_URL and what else the place is come from the environment"
        commands.add_parser(name, parents=[which], help=f"stage: {text}", description=place)
    pipeline = commands.add_parser(
        "pipeline",
        parents=[which],
        help="on Kubernetes: create each stage's job when its turn comes",
        description="Runs in a release of the chart, which gives it all that it needs.",
    )
    pipeline.add_argument("--stages", type=Path, required=True, metavar="DIR", help="the stages' manifests")
    pipeline.add_argument("--owner", required=True, metavar="CONFIGMAP", help="the jobs vanish together with it")
    pipeline.add_argument("--revision", type=int, required=True, metavar="N", help="of the release")
    _add_operations(commands)
    return parser


def _experiment_options() -> argparse.ArgumentParser:
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
    return which


def _add_operations(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="local runs, where DATABASE_URL is not set (runs)",
    )
    study = argparse.ArgumentParser(add_help=False, parents=[where])
    study.add_argument("study", nargs="?", metavar="STUDY", help="needed where there is more than one")
    result = argparse.ArgumentParser(add_help=False)
    result.add_argument("result", metavar="RESULT", help="a study's folder, or s3://bucket/prefix/study")

    status = commands.add_parser("status", parents=[study], help="how far a sweep is")
    how = status.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="until all its trials are settled")
    how.add_argument("--json", action="store_true", help="for programs")
    stop = commands.add_parser("stop", parents=[study], help="begin no more trials; what runs is finished")
    stop.add_argument("--now", action="store_true", help="end what runs, too")
    check = commands.add_parser("check", help="whether database and bucket can be used from here")
    check.add_argument(
        "--config", type=Path, metavar="FILE", help="instead: whether the study can go on with this experiment"
    )
    commands.add_parser("verify", parents=[result], help="check every file of a result against its manifest")
    fetch = commands.add_parser("fetch", parents=[result], help="download a result, checked")
    fetch.add_argument("--to", type=Path, metavar="DIR", help="default: a folder named like the study")
    fetch.add_argument("--partial", action="store_true", help="also a result that is not finished")
    compare = commands.add_parser("compare", parents=[result], help="set studies of one data set beside each other")
    compare.add_argument("others", nargs="+", metavar="RESULT", help="more of them")
    compare.add_argument("--to", type=Path, default=Path("comparison"), metavar="DIR", help="for the page (comparison)")
    predict = commands.add_parser("predict", help="what a trained network takes images for")
    predict.add_argument("model", metavar="MODEL", help="a study's folder, its model/ or final/seed-0/, or s3://…")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="a file, or a folder of them")
    predict.add_argument("--top", type=int, default=3, metavar="K", help="classes for each image (3)")
    predict.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:1; default: DEVICE, else auto")
    predict.add_argument("--json", action="store_true", help="for programs: an object a line")
    export = commands.add_parser("export", parents=[study], help="a study with its slots and ledger as one file")
    export.add_argument("--file", type=Path, required=True, metavar="FILE")
    import_ = commands.add_parser("import", help="such a file into the database of DATABASE_URL")
    import_.add_argument("file", type=Path, metavar="FILE")


if __name__ == "__main__":
    sys.exit(main())
