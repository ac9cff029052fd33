"""The answer first: what was found, how good it is, how sure that is."""

from dataclasses import dataclass

from jobs.findings import Findings
from jobs.pages.template import percent
from jobs.tables import SlotState


@dataclass(frozen=True)
class Answer:
    """In sentences; accuracies are of the test images."""

    accuracy: float
    interval: tuple[float, float]
    interval_of: str  # what the interval covers, in a few words
    found: str
    sure: str


def answer(findings: Findings) -> Answer:
    metrics, experiment, test = findings.metrics, findings.experiment, findings.metrics["test"]
    seeds, mean = len(metrics["seeds"]), metrics["accuracy"]
    low, high = test["accuracy_interval"]
    images = f"{test['images']:,} test images"
    network = f"a network of {metrics['parameters']:,} parameters ({metrics['budget']:,} allowed)"
    training = f"trained for {experiment.final_train.epochs} epoch{'s' if experiment.final_train.epochs > 1 else ''}"
    if seeds > 1:
        found = f"{_configuration(findings)} gives {network}. {training.capitalize()} with {seeds} seeds, it classifies "
        found += f"{percent(mean['mean'])} of the {images} correctly on average."
        sure = (
            f"The trainings differ in their seed alone. Student's t distribution puts the mean between "
            f"{percent(mean['low'])} and {percent(mean['high'])} (95 %). The weights that go out are those of seed "
            f"{metrics['chosen']}, chosen by {_chosen_by(findings)}: {percent(test['accuracy'])}, which the number of test "
            f"images alone leaves open from {percent(low)} to {percent(high)}."
        )
        return Answer(mean["mean"], (mean["low"], mean["high"]), f"over {seeds} seeds", found, sure)
    right = round(test["accuracy"] * test["images"])
    found = f"{_configuration(findings)} gives {network}. {training.capitalize()}, it classifies {right:,} of the {images} "
    found += f"correctly: {percent(test['accuracy'])}."
    sure = (
        f"From the number of test images alone, the true accuracy lies between {percent(low)} and {percent(high)} "
        "(95 %, Wilson). This is one training with one seed; how much another seed would change was not measured."
    )
    return Answer(test["accuracy"], (low, high), "from the number of test images", found, sure)


def _configuration(findings: Findings) -> str:
    complete, trials = findings.status.count(SlotState.COMPLETE), len(findings.status.trials)
    if not findings.experiment.searched:
        return "The given configuration; nothing was searched. It" if trials == 1 else "The given configuration"
    if complete == 1:
        return f"The one complete trial of {trials}" if trials > 1 else "The only trial"
    counted = f"{complete} complete trials" if complete == trials else f"{complete} complete trials, {trials} in all,"
    return f"The best of {counted} by validation accuracy"


def _chosen_by(findings: Findings) -> str:
    validated = findings.metrics["seeds"][findings.metrics["chosen"]]["validationAccuracy"]
    return "being the first, since no validation images were left" if validated is None else "validation accuracy"
