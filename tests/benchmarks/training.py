"""Our training loop beside a plain one, and what its speed rests on, measured in turn in one run.

    python tests/benchmarks/training.py [--device cuda] [--precision fp32] [--data FOLDER] [--only PART …]

The parts, each a file `training_PART.py`:

loops       images a second of the plain loop and of ours. The plain loop is what a tutorial writes: a DataLoader with two
            workers, torchvision's transforms on PIL images (crop, flip, AutoAugment, normalisation), fp32, the default
            memory format. Ours is `resnet_core.train.train` with the same augmentation, optimizer and batch size.
choice      in what a training computes here, and how long it takes to find out
arithmetic  what the device makes of fp32 and bf16
batch_norm  batch norm of odd widths
widths      the published odd widths, and rounded ones
processes   several processes at once on one device
costs       the largest costs of a step
"""

import argparse
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from resnet_core.device import describe, select_device
from tests.benchmarks import (
    training_arithmetic,
    training_batch_norm,
    training_choice,
    training_costs,
    training_loops,
    training_processes,
    training_widths,
)
from tests.benchmarks.training_setup import BATCH, RECIPE, Bench, load_images

PARTS = {
    "loops": training_loops.run,
    "choice": training_choice.run,
    "arithmetic": training_arithmetic.run,
    "batch_norm": training_batch_norm.run,
    "widths": training_widths.run,
    "processes": training_processes.run,
    "costs": training_costs.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto", help="of our loop")
    parser.add_argument("--images", type=int, help="images an epoch; default: 768, on CUDA 45,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="folder with cifar-10-batches-bin; default: random images")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    options = parser.parse_args()
    device = select_device(options.device)
    images = load_images(options.data, options.images or (45_000 if device.type == "cuda" else 768))
    bench = Bench(device, RECIPE.model_copy(update={"precision": options.precision}), images, options.rounds)
    print(
        f"{date.today()}, {describe(device)}, Python {sys.version.split()[0]}, torch {torch.__version__}, torchvision "
        f"{version('torchvision')}; {bench.used} images an epoch, batch {BATCH}, medians of {options.rounds}"
    )
    for part in options.only:
        print(f"\n### {part}")
        PARTS[part](bench)


if __name__ == "__main__":
    main()
