"""The options and commands of the command line."""

import argparse
import re
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from jobs.experiment.load import preset_names
from jobs.runtime.errors import ConfigurationError
from resnet_core.shown_text import visible

DESCRIPTION = "One subcommand a stage, `local`, which runs them all, and what people do with a sweep."
STAGES = {
    "prepare": "check the experiment, store the data set, create the study",
    "sweep": "run trials until none is left",
    "final-train": "train the best configuration to the end",
    "evaluate": "test it once and write the report",
}


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(prog="resnet-sweep", description=DESCRIPTION)
    top.add_argument("--version", action="version", version=metadata.version("resnet-sweep"))
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
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
    return top


def refuse_empty(arguments: Sequence[str]) -> None:
    """No argument may be empty: a path that is would be the current folder, and what was meant is a variable not set.

    Raises:
        ConfigurationError: one is.

    """
    for index, argument in enumerate(arguments):
        if not argument or re.fullmatch(r"--[a-z-]+=", argument):
            so_far = visible(shlex.join(arguments[: index + 1]))
            raise ConfigurationError(f"{so_far}: the last of these is empty; a value expected")


def experiment_options_of(options: argparse.Namespace) -> list[str]:
    """The options by which another process finds the same experiment."""
    source = ["--config", str(options.config)] if options.config else ["--preset", options.preset or "quick"]
    return source + [f"--set={override}" for override in options.set]


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
    what = check.add_mutually_exclusive_group()
    what.add_argument(
        "--config", type=Path, metavar="FILE", help="instead: whether the study can go on with this experiment"
    )
    what.add_argument(
        "--device", metavar="DEVICE", help="instead: whether auto, cpu, cuda or cuda:1 works, and how fast"
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
    predict.add_argument("--top", type=int, metavar="K", help="classes for each image (3, or all there are)")
    predict.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:1; default: DEVICE, else auto")
    predict.add_argument("--json", action="store_true", help="for programs: an object a line")
    export = commands.add_parser("export", parents=[study], help="a study with its slots and ledger as one file")
    export.add_argument("--file", type=Path, required=True, metavar="FILE")
    import_ = commands.add_parser("import", help="such a file into the database of DATABASE_URL")
    import_.add_argument("file", type=Path, metavar="FILE")
