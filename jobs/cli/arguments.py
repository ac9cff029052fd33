"""The options and commands of the command line."""

import argparse
import difflib
import re
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from jobs.experiment.load import preset_names
from jobs.runtime.errors import ConfigurationError
from resnet_core.shown_text import visible

DESCRIPTION = "The best small image classifier under a parameter budget: searched, trained, tested once, reported."
TRACKERS = ("csv", "tensorboard", "mlflow")
SOURCES = ("imagefolder", "cifar10", "cifar100")
STAGES = {
    "prepare": "check the experiment, store the data set, create the study",
    "sweep": "run trials until none is left",
    "final-train": "train the best configuration to the end",
    "evaluate": "test it once and write the report",
}
GROUPS = {
    "to begin": {
        "init": "look at your images and write an experiment that fits them",
        "local": "run all stages of an experiment on this machine",
    },
    "while a sweep runs": {
        "status": "how far it is",
        "stop": "begin no more trials; what runs is finished",
    },
    "with a result": {
        "predict": "what its network takes images for",
        "compare": "set studies of one data set beside each other",
        "verify": "check every file against its manifest",
        "fetch": "download it, checked",
    },
    "with a database and a bucket": {
        "check": "whether they can be used from here, or a GPU",
        "export": "a study as one file, or its trainings for other programs",
        "import": "such a file into the database of DATABASE_URL",
    },
    "stages, which `local` and the chart run": {
        **STAGES,
        "pipeline": "on Kubernetes: create each stage's job when its turn comes",
    },
}
TEXTS = {name: text for group in GROUPS.values() for name, text in group.items()}
LISTED = "\n\n".join(
    "\n".join([f"{title}:", *(f"  {name:<13} {text}" for name, text in group.items())])
    for title, group in GROUPS.items()
)
HINT = "`resnet-sweep COMMAND --help` says more. Without images of your own: resnet-sweep local --preset quick"


class Commands:
    """The commands of a parser, each with the text that GROUPS has for it."""

    def __init__(self, top: argparse.ArgumentParser) -> None:
        self._parsers = top.add_subparsers(prog=top.prog, dest="command", metavar="COMMAND", help=argparse.SUPPRESS)

    def add(self, name: str, *parents: argparse.ArgumentParser, more: str = "") -> argparse.ArgumentParser:
        return self._parsers.add_parser(name, parents=parents, description=f"{TEXTS[name]}{more}")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; without one, `command` is None."""
    top = argparse.ArgumentParser(
        prog="resnet-sweep",
        usage="resnet-sweep COMMAND [OPTIONS]",
        description=f"{DESCRIPTION}\n\n{LISTED}",
        epilog=HINT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=metadata.version("resnet-sweep"))
    commands = Commands(top)
    _add_beginning(commands)
    _add_watching(commands)
    _add_results(commands)
    _add_services(commands)
    _add_stages(commands)
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


def refuse_unknown(top: argparse.ArgumentParser, command: str | None, unknown: Sequence[str]) -> NoReturn:
    """Ends the process with what is wrong with the first argument that nobody asks for, and what may be meant."""
    first = visible(unknown[0])
    if not first.startswith("-"):
        hint = "an experiment is given by --config, and a name with spaces stands in quotes"
        top.error(f"{command}: {first}: not expected here; {hint}")
    known = sorted(option for option in _options_of(top, command) if option.startswith("--"))
    meant = difflib.get_close_matches(first.partition("=")[0], known, 1)
    hint = f"did you mean {meant[0]}?" if meant else f"one of {', '.join(known)} expected"
    top.error(f"{command or ''}: {first}: no such option; {hint}".removeprefix(": "))


def _options_of(top: argparse.ArgumentParser, command: str | None) -> list[str]:
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction) and command in action.choices:
            return list(action.choices[command]._option_string_actions)
    return list(top._option_string_actions)


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


def _add_beginning(commands: Commands) -> None:
    init = commands.add("init")
    init.add_argument(
        "--data", type=Path, metavar="FOLDER", help="images: a folder for each class, or a folder of CIFAR"
    )
    init.add_argument(
        "--source", choices=SOURCES, help="default: what the folder holds; CIFAR is downloaded without one"
    )
    init.add_argument("--file", type=Path, default=Path("mine.yaml"), metavar="FILE", help="to write (mine.yaml)")
    local = commands.add("local", _experiment_options())
    local.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where results go (runs)")
    local.add_argument("--workers", type=int, metavar="N", help="worker processes; default: one a GPU, or a CPU core")


def _add_watching(commands: Commands) -> None:
    status = commands.add("status", _study_options())
    how = status.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="until all its trials are settled")
    how.add_argument("--json", action="store_true", help="for programs")
    stop = commands.add("stop", _study_options())
    stop.add_argument("--now", action="store_true", help="end what runs, too")


def _add_results(commands: Commands) -> None:
    result = argparse.ArgumentParser(add_help=False)
    result.add_argument("result", metavar="RESULT", help="a study's folder, or s3://bucket/prefix/study")
    predict = commands.add("predict")
    predict.add_argument("model", metavar="MODEL", help="a study's folder, its model/ or final/seed-0/, or s3://…")
    predict.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="a file, or a folder of them; those of its training it knows too well",
    )
    predict.add_argument("--top", type=int, metavar="K", help="classes for each image (3, or all there are)")
    predict.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:1; default: DEVICE, else auto")
    predict.add_argument("--json", action="store_true", help="for programs: an object a line")
    compare = commands.add("compare", result)
    compare.add_argument("others", nargs="+", metavar="RESULT", help="more of them")
    compare.add_argument("--to", type=Path, default=Path("comparison"), metavar="DIR", help="for the page (comparison)")
    commands.add("verify", result)
    fetch = commands.add("fetch", result)
    fetch.add_argument("--to", type=Path, metavar="DIR", help="default: a folder named like the study")
    fetch.add_argument("--partial", action="store_true", help="also a result that is not finished")


def _add_services(commands: Commands) -> None:
    check = commands.add("check")
    what = check.add_mutually_exclusive_group()
    what.add_argument(
        "--config", type=Path, metavar="FILE", help="instead: whether the study can go on with this experiment"
    )
    what.add_argument(
        "--device", metavar="DEVICE", help="instead: whether auto, cpu, cuda or cuda:1 works, and how fast"
    )
    export = commands.add("export", _study_options())
    what = export.add_mutually_exclusive_group(required=True)
    what.add_argument("--file", type=Path, metavar="FILE", help="the whole study, for `import`")
    what.add_argument("--to", choices=TRACKERS, help="the trainings that have ended, for another program")
    export.add_argument(
        "--at",
        metavar="PLACE",
        help="with --to: the folder (STUDY-csv, STUDY-tensorboard), or the address of MLflow's server "
        "(MLFLOW_TRACKING_URI, else http://127.0.0.1:5000)",
    )
    commands.add("import").add_argument("file", type=Path, metavar="FILE")


def _add_stages(commands: Commands) -> None:
    which = _experiment_options()
    for name in STAGES:
        commands.add(name, which, more="; DATABASE_URL, ARTIFACTS_URL and all that places it come from the environment")
    pipeline = commands.add(
        "pipeline", which, more=". Runs in a release of the chart, which gives it all that it needs"
    )
    pipeline.add_argument("--stages", type=Path, required=True, metavar="DIR", help="manifests of what it makes")
    pipeline.add_argument("--owner", required=True, metavar="CONFIGMAP", help="the jobs vanish together with it")
    pipeline.add_argument("--revision", required=True, metavar="HASH", help="of the release's values")


def _study_options() -> argparse.ArgumentParser:
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="local runs, where DATABASE_URL is not set (runs)",
    )
    which.add_argument("study", nargs="?", metavar="STUDY", help="needed where there is more than one")
    return which
