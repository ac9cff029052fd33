"""Fewer epochs for the same answer: what early stopping saves of a sweep, and what it costs in accuracy.

    python tests/benchmarks/early_stopping.py [--preset quick] [--seeds 5] [--trials 16] [--live 2]
    python tests/benchmarks/early_stopping.py --data FOLDER [--images 2000] [--set sweep.epochs=10]

**Replay.** For each seed one real sweep (stages `prepare` and `sweep`, random sampler) trains every trial to its end.
Over these curves each rule is replayed: Optuna's own pruner, made as a worker makes it, is told the same values in the
order in which workers side by side would report them, and what it stops is cut off there. So all rules are measured
on the same trials, the same trainings and the same split. Each seed's trials are replayed in several orders, since
successive halving depends on who comes first. An epoch takes from 0.7 to 1.4 of the mean, each trial having a pace of
its own: were they all the same, trials side by side would reach every epoch in the order in which they began.

- regret: how far the best complete trial stays below the best of all trials, in points of validation accuracy;
  mean over seeds and orders, with the standard error over seeds.
- fewer trials: the regret of spending as many epochs on fewer trials and stopping none. A rule is worth having where
  its own regret is below this one.
- same best: the share of orders in which the best complete trial is as good as the best of all.

A replay covers no sampler that learns from the trials: what TPE makes of trials that were stopped is not in it.

**Live.** `--live N` runs real sweeps with early stopping for the first N seeds, one worker each: with the random sampler,
where every trial must end at the epoch at which the replay ends it, and with TPE, with early stopping and without.

Sweeps are kept under `--runs`, read when they are there already, and gone on with after an interruption.
"""

import argparse
import os
import random
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import optuna

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.experiment.sweep_config import EarlyStoppingConfig
from resnet_core.device import describe, select_device
from tests.benchmarks.early_stopping_replay import Curve, Outcome, ended, expected_best, finals, replay, run_sweep

PACES = (0.7, 1.4)


@dataclass(frozen=True)
class Sweeps:
    """One experiment under several seeds, samplers and rules."""

    preset: str
    overrides: list[str]
    seeds: int

    def experiment(self, seed: int, sampler: str, rule: EarlyStoppingConfig, suffix: str = "") -> Experiment:
        """Rules and orders differ in the study's name, by which Optuna's hyperband deals trials to its brackets."""
        own = [
            f"study.name={sampler}-{rule.name}-seed-{seed}{suffix}",
            f"seed={seed}",
            f"sweep.sampler.name={sampler}",
            f"sweep.earlyStopping={rule.model_dump_json()}",
        ]
        return load_experiment(self.preset, None, [*self.overrides, *own])

    @property
    def default(self) -> Experiment:
        return load_experiment(self.preset, None, self.overrides)

    def run(
        self, seeds: int, sampler: str, rule: EarlyStoppingConfig, runs: Path, pool: ThreadPoolExecutor
    ) -> list[list[Curve]]:
        """The curves of every seed's sweep, several sweeps at once."""
        experiments = [self.experiment(seed, sampler, rule) for seed in range(seeds)]
        return list(pool.map(partial(run_sweep, runs=runs), experiments))


def rules(default: EarlyStoppingConfig, epochs: int) -> list[EarlyStoppingConfig]:
    """The preset's own rule first, then others around it."""
    least = sorted({1, 2, 3, epochs // 4, epochs // 2, default.min_epochs} & set(range(1, epochs)))
    factor = default.reduction_factor
    kinds = [("halving", epoch, factor) for epoch in least]
    kinds += [("halving", default.min_epochs, other) for other in (2, 3, 4)]
    # Where no second bracket fits, hyperband is halving.
    kinds += [("hyperband", epoch, factor) for epoch in least if epoch * factor <= epochs]
    kinds += [("median", epoch, factor) for epoch in least]
    keys = ("name", "min_epochs", "reduction_factor")
    others = [default.model_copy(update=dict(zip(keys, kind, strict=True))) for kind in kinds]
    own = [] if default.name == "none" else [default]
    return list({describe_rule(rule): rule for rule in own + others}.values())


def without(rule: EarlyStoppingConfig) -> EarlyStoppingConfig:
    return rule.model_copy(update={"name": "none"})


def print_replay(sweeps: Sweeps, seeds: list[list[Curve]], workers: int, orders: int) -> None:
    experiment = sweeps.default
    trials, epochs = experiment.sweep.trials, experiment.sweep.epochs
    print(f"\n### Replay, {workers} {'trials' if workers > 1 else 'trial'} side by side\n")
    print_row("rule", "epochs run", "complete", "regret", "most", "same best", "fewer trials")
    print_row("---", *["---:"] * 6)
    best = statistics.mean(max(finals(curves, epochs)) for curves in seeds)
    print_row(f"none: best {points(best)}", str(trials * epochs), str(trials), "0", "0", "100%", "")
    for rule in rules(experiment.sweep.early_stopping, epochs):
        ran, regrets, fewer, completed = [], [], [], []
        for seed, curves in enumerate(seeds):
            found = replay_orders(sweeps, seed, curves, rule, workers, orders)
            ends = finals(curves, epochs)
            ran.append(statistics.mean(sum(outcome.epochs) for outcome in found))
            completed.append(statistics.mean(len(outcome.finals) for outcome in found))
            regrets.append([max(ends) - outcome.best for outcome in found])
            fewer.append(max(ends) - expected_best(ends, ran[-1] / epochs))
        flat = [regret for row in regrets for regret in row]
        print_row(
            describe_rule(rule) + (" (preset)" if rule == experiment.sweep.early_stopping else ""),
            f"{statistics.mean(ran):.0f} ({statistics.mean(ran) / (trials * epochs):.0%})",
            f"{statistics.mean(completed):.1f}",
            with_error([statistics.mean(row) for row in regrets]),
            points(max(flat)),
            f"{sum(regret <= 0 for regret in flat) / len(flat):.0%}",
            points(statistics.mean(fewer)),
        )


def replay_orders(
    sweeps: Sweeps, seed: int, curves: list[Curve], rule: EarlyStoppingConfig, workers: int, orders: int
) -> list[Outcome]:
    """The order of the slots first, then others, the same for every rule."""
    draw, found = random.Random(seed), []
    for order in range(orders):
        shuffled = draw.sample(curves, len(curves)) if order else curves
        paces = [draw.uniform(*PACES) for _ in curves]
        experiment = sweeps.experiment(seed, "random", rule, f"-order-{order}" if order else "")
        found.append(replay(experiment, shuffled, paces, workers))
    return found


def print_live(
    sweeps: Sweeps, seeds: list[list[Curve]], rule: EarlyStoppingConfig, live: int, runs: Path, pool: ThreadPoolExecutor
) -> None:
    epochs = sweeps.default.sweep.epochs
    print(f"\n### Live, {describe_rule(rule)}\n")
    print_row(
        "seed", "sampler", "epochs run", "best", "best without early stopping", "trials that end as in the replay"
    )
    print_row("---:", "---", *["---:"] * 4)
    for sampler in ("random", "tpe"):
        whole = seeds[:live] if sampler == "random" else sweeps.run(live, "tpe", without(rule), runs, pool)
        for seed, stopped in enumerate(sweeps.run(live, sampler, rule, runs, pool)):
            seen = ended(stopped, epochs)
            agreement = "-"
            if sampler == "random":
                told = replay(sweeps.experiment(seed, "random", rule), seeds[seed], [1.0] * len(stopped), 1)
                same = sum(a == b for a, b in zip(seen.epochs, told.epochs, strict=True))
                agreement = f"{same} of {len(told.epochs)}"
            best = points(max(finals(whole[seed], epochs)))
            print_row(str(seed), sampler, str(sum(seen.epochs)), points(seen.best), best, agreement)


def describe_rule(rule: EarlyStoppingConfig) -> str:
    factor = "" if rule.name == "median" else f", factor {rule.reduction_factor}"
    return f"{rule.name}, minEpochs {rule.min_epochs}{factor}"


def points(accuracy: float) -> str:
    return f"{100 * accuracy:.2f}"


def with_error(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{points(statistics.mean(values))} ± {points(error)}"


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change the experiment")
    parser.add_argument("--data", type=Path, help="folder with cifar-10-batches-bin; default: the preset's own data")
    parser.add_argument("--images", type=int, default=2000, help="of CIFAR-10, to train and validate on (2000)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--side-by-side", type=int, nargs="+", default=[1, 4], help="trials at once in a replay (1 4)")
    parser.add_argument("--orders", type=int, default=20, help="in which each seed's trials are replayed (20)")
    parser.add_argument("--live", type=int, default=0, help="seeds whose sweeps also run with early stopping (0)")
    parser.add_argument("--runs", type=Path, default=Path("runs/early-stopping"))
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="sweeps at once; default: one a core")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    overrides = [f"sweep.trials={options.trials}", *options.set]
    if options.data is not None:
        data = [f"data.path={options.data.absolute()}", "data.source=cifar10", f"data.limit={options.images}"]
        overrides += [*data, "training.augmentation.flip=true"]
    sweeps = Sweeps(options.preset, overrides, options.seeds)
    sweep = sweeps.default.sweep
    if options.live and sweep.early_stopping.name == "none":
        parser.error(f"--live: {options.preset} has no early stopping; give one with --set sweep.earlyStopping.name=…")
    device = describe(select_device(os.environ.get("DEVICE", "auto")))
    print(f"{date.today()}; {device}; {os.cpu_count()} cores; torch {version('torch')}, Optuna {version('optuna')}")
    print(f"{options.seeds} seeds, {sweep.trials} trials of {sweep.epochs} epochs each, {options.orders} orders")
    with ThreadPoolExecutor(options.processes) as pool:
        seeds = sweeps.run(options.seeds, "random", without(sweep.early_stopping), options.runs, pool)
        for workers in options.side_by_side:
            print_replay(sweeps, seeds, workers, options.orders)
        if options.live:
            print_live(sweeps, seeds, sweep.early_stopping, options.live, options.runs, pool)


if __name__ == "__main__":
    main()
