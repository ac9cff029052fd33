"""No speed-up changes the result beyond rounding: final test accuracy of the plain loop and of ours, seed by seed.

    python tests/benchmarks/accuracy.py [--preset quick] [--seeds 5] [--epochs 8] [--set training.optimizer=adamw]
    python tests/benchmarks/accuracy.py --data FOLDER [--images 2000] [--epochs 10]

**Plain** is written from first principles: torch's own modules and optimizer, one tensor at a time, fp32, contiguous
memory, the pruned network at its exact widths. **Ours** is `resnet_core.train.train` with all faster layers, in fp32
and in bf16. All begin with the same weights and see the same augmented batches at the same learning rates; images are a
preset's training images without a split, the network and the recipe are the preset's.

Two trainings that differ in one rounding drift apart in every step after it, so that equal seeds do not give equal
accuracies. How far that goes by itself is measured too, on the plain loop: **one rounding off** begins with all weights
scaled by 1 + 2^-23, the smallest change that fp32 knows. Differences are to plain, paired by seed, with Student's 95 %
interval of their mean; one that holds 0, and is no wider than that of one rounding off, is within the noise.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from scipy.stats import t
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from resnet_core.arithmetic import Arithmetic
from resnet_core.augment import normalize
from resnet_core.batches import EpochBatches, TrainingData
from resnet_core.build import build_network
from resnet_core.config import TrainingConfig
from resnet_core.cpu.layers import use_faster_layers
from resnet_core.data import Images, RawDataset, channel_statistics, limit_images, read_source
from resnet_core.device import describe, select_device
from resnet_core.model import ResNet
from resnet_core.predict import predict
from resnet_core.schedule import lr_factor
from resnet_core.train import train
from tests.support.plain_network import plain_network

Result = tuple[float, float]  # accuracy and cross-entropy of the test images
FASTER = Arithmetic(torch.float32, winograd=True, grouped_batch_norm=True)
ONE_ROUNDING = 1 + 2**-23


def plain_optimizer(model: nn.Module, recipe: TrainingConfig) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    vector_decay = recipe.weight_decay if recipe.decay_norm_and_bias else 0.0
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": vector_decay},
    ]
    one_by_one = {"foreach": False, "fused": False}
    match recipe.optimizer:
        case "sgd":
            nesterov = recipe.nesterov and recipe.momentum > 0
            return torch.optim.SGD(groups, recipe.lr, momentum=recipe.momentum, nesterov=nesterov, **one_by_one)
        case "adam":
            return torch.optim.Adam(groups, recipe.lr, **one_by_one)
        case "adamw":
            return torch.optim.AdamW(groups, recipe.lr, **one_by_one)
    raise SystemExit(f"training.optimizer={recipe.optimizer}: sgd, adam or adamw here")


def train_plain(
    network: ResNet,
    recipe: TrainingConfig,
    data: TrainingData,
    test: Images,
    epochs: int,
    seed: int,
    scale: float = 1.0,
) -> Result:
    model = plain_network(network).to(data.mean.device, memory_format=torch.contiguous_format)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    optimizer = plain_optimizer(model, recipe)
    steps = len(data.train) // recipe.batch_size
    model.train()
    for epoch in range(1, epochs + 1):
        batches = EpochBatches.draw(data, recipe, seed, epoch)
        for step, (images, labels, _) in enumerate(batches, (epoch - 1) * steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * lr_factor(recipe.schedule, step, steps, epochs)
            logits = model(images.contiguous())
            loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        parts = [model(normalize(part, data.mean, data.std).contiguous()) for part in test.images.split(256)]
    return score(torch.cat(parts), test.labels)


def train_ours(
    network: ResNet, recipe: TrainingConfig, data: TrainingData, test: Images, epochs: int, seed: int
) -> Result:
    device = data.train.images.device
    use_faster_layers(network, FASTER)
    trained = train(network.to(device), recipe, data, epochs, seed=seed)
    precision = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    return score(predict(trained, test.images, data.mean, data.std, precision), test.labels)


def score(logits: Tensor, labels: Tensor) -> Result:
    accuracy = (logits.argmax(dim=1) == labels).double().mean()
    return accuracy.item(), F.cross_entropy(logits, labels).item()


def arms(experiment: Experiment) -> dict[str, Callable[..., Result]]:
    """What is compared, by name; the first is what the others are held against."""
    recipe = experiment.training

    def plain(network: ResNet, *rest: object) -> Result:
        return train_plain(network, recipe, *rest)

    def scaled(network: ResNet, *rest: object) -> Result:
        return train_plain(network, recipe, *rest, scale=ONE_ROUNDING)

    def ours(precision: str) -> Callable[..., Result]:
        chosen = recipe.model_copy(update={"precision": precision})
        return lambda network, *rest: train_ours(network, chosen, *rest)

    return {"plain": plain, "one rounding off": scaled, "ours, fp32": ours("fp32"), "ours, bf16": ours("bf16")}


def print_table(names: Sequence[str], rows: Sequence[Sequence[float]], unit: float, digits: int) -> None:
    """A row a seed, then the mean, and the difference of each column to the first."""

    def cells(values: Sequence[float]) -> list[str]:
        return [f"{value * unit:.{digits}f}" for value in values]

    print_row("seed", *names)
    print_row("---:", *["---:"] * len(names))
    for seed, row in enumerate(rows):
        print_row(str(seed), *cells(row))
    columns = list(zip(*rows, strict=True))
    print_row("mean", *cells([statistics.mean(column) for column in columns]))
    if len(rows) < 2:
        return
    differences = [[b - a for a, b in zip(columns[0], column, strict=True)] for column in columns[1:]]
    means = [statistics.mean(difference) for difference in differences]
    errors = [statistics.stdev(difference) / len(rows) ** 0.5 for difference in differences]
    reach = [float(t.ppf(0.975, len(rows) - 1)) * error for error in errors]
    print_row("difference", "", *(f"{mean * unit:+.{digits}f}" for mean in means))
    print_row("its standard error", "", *cells(errors))
    ranges = [
        f"{(m - r) * unit:+.{digits}f} to {(m + r) * unit:+.{digits}f}" for m, r in zip(means, reach, strict=True)
    ]
    print_row("95 % interval", "", *ranges)


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def load(experiment: Experiment, options: argparse.Namespace, device: torch.device) -> tuple[RawDataset, TrainingData]:
    raw = read_source(experiment.data)
    images = limit_images(raw.train, options.images, 0, "--images") if options.data else raw.train
    mean, std = channel_statistics(images)
    return raw, TrainingData(images.to(device), None, mean.to(device), std.to(device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quick", help="whose network and recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change the experiment")
    parser.add_argument("--data", type=Path, help="folder with cifar-10-batches-bin; default: the preset's own data")
    parser.add_argument("--images", type=int, default=2000, help="of CIFAR-10, to train on (2000)")
    parser.add_argument("--epochs", type=int, help="default: as many as the preset's sweep")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    cifar = ["data.source=cifar10", f"data.path={options.data}", "training.augmentation.flip=true"]
    experiment = load_experiment(options.preset, None, [*(cifar if options.data else []), *options.set])
    recipe, epochs = experiment.training, options.epochs or experiment.sweep.epochs
    mixes = recipe.augmentation.mixup or recipe.augmentation.cutmix
    if mixes or recipe.ema or recipe.dropout or recipe.clip_norm:
        parser.error("mixup, cutmix, ema, dropout and clipNorm: the plain loop has none of them")
    device = select_device(options.device)
    raw, data = load(experiment, options, device)
    test = raw.test.to(device)

    def network(seed: int) -> ResNet:
        return build_network(experiment.model, experiment.pruning, len(raw.classes), seed=seed)

    parameters = sum(parameter.numel() for parameter in network(0).parameters())
    print(f"{date.today()}; {describe(device)}; torch {version('torch')}")
    print(f"{raw.title}: {len(data.train)} images, tested on {len(test)}; {parameters:,} parameters; {epochs} epochs")
    print(f"{recipe.optimizer}, lr {recipe.lr:g}, batch {recipe.batch_size}")
    compared = arms(experiment)
    results = []
    for seed in range(options.seeds):
        results.append([arm(network(seed), data, test, epochs, seed) for arm in compared.values()])
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    for index, (what, unit, digits) in enumerate((("Test accuracy, %", 100, 2), ("Test loss", 1, 4))):
        print(f"\n### {what}\n")
        print_table(list(compared), [[result[index] for result in row] for row in results], unit, digits)


if __name__ == "__main__":
    main()
