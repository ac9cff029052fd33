"""Test accuracy by wall time: the preset `fast` beside the published recipe, on one machine and the same images.

    python tests/benchmarks/accuracy_by_time.py --minutes 45 [--data FOLDER --title TEXT] [--runs FILE] [--figure FILE]

The published recipe is the preset `paper` with RMSprop at the rate that `paper-manual` has. Each recipe gets as many
epochs as end within the time, so that its learning rate falls to its end; how many that are is measured first. Time is that of
training and validation. The test after every epoch is for the curve alone: it decides nothing and is not counted.

`--data` is a folder with `cifar-10-batches-bin`; without one, the official images are downloaded. `--runs` keeps a line
for each training that is done and is not done again, so that a benchmark can be continued. `--change NAME=SETTINGS`,
with the settings of `--set` divided by semicolons, compares changed recipes in place of the published one, as in

    --epochs 5 --change 'mirrored by chance=training.augmentation.alternatingFlip=false'

and `--set` changes a field of all recipes.

`--epochs` gives each recipe so many in place of a time, where all of them cost the same. Two processes of one thread each
(`OMP_NUM_THREADS=1`), with different `--seeds` and one file of runs, get more done on two cores than one after the other.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import product
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.artifacts.dataset_images import divide
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from resnet_core.arithmetic import PRECISIONS
from resnet_core.batches import TrainingData, balanced_batch
from resnet_core.build import build_network
from resnet_core.count import check_budget, count_macs, count_parameters
from resnet_core.data import RawDataset, channel_statistics, limit_images, read_source
from resnet_core.device import select_device
from resnet_core.epoch import EpochResult
from resnet_core.figures.exhibit import draw, legend_below, style
from resnet_core.metrics import mean_interval
from resnet_core.model import ResNet
from resnet_core.predict import predict
from resnet_core.provenance import describe_environment
from resnet_core.seeds import derive_seed
from resnet_core.train import train
from resnet_core.training_state import Checkpoint

PUBLISHED = ["training.optimizer=rmsprop", "training.lr=0.0005", "training.momentum=0.0"]
PROBED_STEPS = 20  # of each of the epochs by which speed is measured
USED = 0.92  # of the time: the fastest epoch is measured, and others are slower where a machine has other work, too


@dataclass(frozen=True)
class Run:
    """One training. `course` has a row an epoch: seconds so far, accuracy on validation and on test images."""

    recipe: str
    seed: int
    length: str  # what it was given: minutes or epochs
    images: str
    device: str
    parameters: int
    macs: int
    course: list[tuple[float, float, float]]
    accuracy_with_flip: float

    @property
    def accuracy(self) -> float:
        return self.course[-1][2]

    def is_of(self, recipe: str, seed: int, length: str, images: str) -> bool:
        return (self.recipe, self.seed, self.length, self.images) == (recipe, seed, length, images)


def machine(device: torch.device) -> str:
    """What computes, by its name."""
    environment = describe_environment(device)
    return "; ".join((environment["device"], environment["processor"], f"torch {environment['torch']}"))


class Precision:
    """Learns from a training's first checkpoint in what it computes."""

    found: torch.dtype | None = None

    def due(self) -> bool:
        return self.found is None

    def save(self, checkpoint: Checkpoint) -> None:
        self.found = PRECISIONS[checkpoint["arithmetic"]["precision"]]


class Bench:
    def __init__(self, raw: RawDataset, device: torch.device) -> None:
        self._raw, self._device, self._test = raw, device, raw.test.to(device)

    def epochs_within(self, seconds: float, experiment: Experiment) -> int:
        data, recipe = self._data(experiment), experiment.training
        few = limit_images(data.train, PROBED_STEPS * recipe.batch_size, 0, "the images")
        held_out = max(round(len(few) * experiment.data.validation), len(self._raw.classes))
        probe = TrainingData(few, limit_images(data.train, held_out, 0, "the images"), data.mean, data.std)
        results: list[EpochResult] = []
        network = self._network(experiment, data, 0)
        train(network, recipe, probe, 3, seed=0, on_epoch=lambda result, _: results.append(result))
        fastest = min(result.seconds for result in results)
        return max(int(USED * seconds / (fastest * len(data.train) / len(few))), 1)

    def run(self, name: str, experiment: Experiment, length: str, epochs: int, seed: int) -> Run:
        data, own_seed = self._data(experiment), derive_seed(experiment.seed, seed)
        network = self._network(experiment, data, own_seed)
        course: list[tuple[float, float, float]] = []
        precision = Precision()

        def test(network: ResNet, *, flip: bool = False) -> float:
            assert precision.found is not None
            logits = predict(network, self._test.images, data.mean, data.std, precision.found, flip=flip)
            return (logits.argmax(dim=1) == self._test.labels).double().mean().item()

        def on_epoch(result: EpochResult, evaluated: ResNet) -> None:
            seconds = result.seconds + (course[-1][0] if course else 0.0)
            tested = test(evaluated)
            course.append((seconds, result.validation_accuracy or 0.0, tested))
            print(
                f"{name}, seed {seed}, epoch {result.epoch} of {epochs}: {seconds:.0f} s, {tested:.4f}",
                file=sys.stderr,
                flush=True,
            )

        training_seed = derive_seed(own_seed, "training")
        given = network, experiment.training, data, epochs
        trained = train(*given, seed=training_seed, saver=precision, on_epoch=on_epoch)
        config, side = trained.config(), data.train.images.shape[-1]
        where = self._raw.title, machine(self._device)
        counts = count_parameters(config), count_macs(config, side)
        return Run(name, seed, length, *where, *counts, course, test(trained, flip=True))

    def _data(self, experiment: Experiment) -> TrainingData:
        training, validation = divide(experiment, self._raw.train)
        statistics = (statistic.to(self._device) for statistic in channel_statistics(training))
        return TrainingData(training.to(self._device), validation.to(self._device), *statistics)

    def _network(self, experiment: Experiment, data: TrainingData, seed: int) -> ResNet:
        recipe, classes = experiment.training, len(self._raw.classes)
        batch = balanced_batch(data, recipe.batch_size, seed)
        given = experiment.model, experiment.pruning, classes
        network = build_network(*given, dropout=recipe.dropout, seed=seed, batch=batch)
        check_budget(network.config(), experiment.budget.parameters)
        return network.to(self._device)


def read_runs(file: Path | None) -> list[Run]:
    return [Run(**json.loads(line)) for line in file.read_text().splitlines()] if file and file.exists() else []


def print_table(recipes: Sequence[str], runs: Sequence[Run]) -> None:
    """A row a recipe: test accuracies in percent, with Student's 95 % interval of the mean."""
    print("| recipe | parameters | MACs | epochs | minutes | seeds | mean (95 % interval) | mirrored images, too |")
    print("|---|---:|---:|---:|---:|---|---|---:|")
    for name in recipes:
        of_recipe = sorted((run for run in runs if run.recipe == name), key=lambda run: run.seed)
        first, seeds = of_recipe[0], ", ".join(f"{100 * run.accuracy:.2f}" for run in of_recipe)
        mean, low, high = (value and 100 * value for value in mean_interval([run.accuracy for run in of_recipe]))
        interval = f"{mean:.2f}" if low is None else f"{mean:.2f} ({low:.2f} to {high:.2f})"
        flipped = 100 * sum(run.accuracy_with_flip for run in of_recipe) / len(of_recipe)
        minutes = sum(run.course[-1][0] for run in of_recipe) / len(of_recipe) / 60
        size = f"{first.parameters:,} | {first.macs / 1e6:.1f} M | {len(first.course)} | {minutes:.1f}"
        print(f"| {name} | {size} | {seeds} | {interval} | {flipped:.2f} |")


def draw_curves(recipes: Sequence[str], runs: Sequence[Run], title: str, file: Path) -> None:
    """The course of every training, a colour a recipe, its end marked."""
    figure, (axes,) = draw(3.4, width=6.4)
    for index, name in enumerate(recipes):
        color, dash = style(index)
        for run in (run for run in runs if run.recipe == name):
            minutes = [row[0] / 60 for row in run.course]
            percent = [100 * row[2] for row in run.course]
            shown = any(line.get_label().startswith(f"{name} (") for line in axes.lines)
            label = None if shown else f"{name} ({run.parameters / 1e6:.2f} M parameters)"
            axes.plot(minutes, percent, dash, color=color, lw=1.2, label=label)
            axes.plot(minutes[-1], percent[-1], "o", color=color, ms=4)
    axes.set_xlabel("minutes of training")
    axes.set_ylabel(f"test accuracy (%)\n{title}")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=50)
    axes.grid(axis="y", lw=0.4)
    legend_below(figure, axes, 1)
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lengths = parser.add_mutually_exclusive_group()
    lengths.add_argument("--minutes", type=float, default=45, help="that each training has (45)")
    lengths.add_argument("--epochs", type=int, help="that each training has, instead")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, help="folder with cifar-10-batches-bin; default: download")
    parser.add_argument("--title", help="what the images are called")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a field of all recipes")
    parser.add_argument("--change", action="append", default=[], metavar="NAME=SETTINGS", help="a changed recipe")
    parser.add_argument("--only", metavar="NAME", help="train one of the recipes, and show what is done of the others")
    parser.add_argument("--runs", type=Path, help="file that keeps what is done")
    parser.add_argument("--figure", type=Path, help="where the curves are drawn")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # in what each training computes
    images = [f"data.path={options.data}"] if options.data else []
    images += [f"data.title={options.title}"] if options.title else []
    given = [*images, *options.set]
    recipes = {"fast": load_experiment("fast", None, given)}
    for change in options.change:
        name, _, settings = change.partition("=")
        recipes[name] = load_experiment("fast", None, [*given, *settings.split(";")])
    if not options.change:
        recipes["published recipe"] = load_experiment("paper", None, [*given, *PUBLISHED])

    device = select_device(options.device)
    raw, runs = read_source(recipes["fast"].data), read_runs(options.runs)
    bench, epochs = Bench(raw, device), dict[str, int]()
    length = f"{options.epochs} epochs" if options.epochs else f"{options.minutes:g} minutes"
    for seed in options.seeds:
        for name, experiment in recipes.items():
            if options.only not in (None, name) or any(run.is_of(name, seed, length, raw.title) for run in runs):
                continue
            if name not in epochs:
                epochs[name] = options.epochs or bench.epochs_within(60 * options.minutes, experiment)
            runs.append(bench.run(name, experiment, length, epochs[name], seed))
            if options.runs:
                with options.runs.open("a") as file:
                    file.write(json.dumps(asdict(runs[-1])) + "\n")
    asked = list(product(recipes, options.seeds))
    runs = [run for run in runs if any(run.is_of(*one, length, raw.title) for one in asked)]
    print(f"{date.today()}; {machine(device)}; {raw.title}\n")
    done = [name for name in recipes if any(run.recipe == name for run in runs)]
    print_table(done, runs)
    if options.figure:
        draw_curves(done, runs, raw.title, options.figure)


if __name__ == "__main__":
    main()
