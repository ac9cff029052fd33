"""The answer first: what was found, how good it is, how sure that is."""

from dataclasses import dataclass

from jobs.queue.tables import SlotState
from jobs.report.pages.template import percent
from jobs.report.study_results import Findings


@dataclass(frozen=True)
class Answer:
    """In sentences; accuracies are of the test images."""

    accuracy: float
    interval: tuple[float, float]
    interval_of: str  # what the interval covers, in a few words
    found: str
    sure: str


def answer(findings: Findings) -> Answer:
    metrics, test = findings.metrics, findings.metrics["test"]
    seeds, mean = len(metrics["seeds"]), metrics["accuracy"]["mean"]
    low, high = test["accuracy_interval"]
    epochs = findings.experiment.final_train.epochs
    network = f"{_configuration(findings)} gives a network of {metrics['parameters']:,} parameters"
    found = f"{network} ({metrics['budget']:,} allowed). Trained for {epochs} epoch{'s' if epochs > 1 else ''}"
    if seeds == 1:
        right = round(test["accuracy"] * test["images"])
        found += f", it classifies {right:,} of {test['images']:,} test images correctly: {percent(test['accuracy'])}."
        sure = (
            f"From the number of test images alone, the true accuracy lies between {percent(low)} and {percent(high)} "
            "(95 %, Wilson). This is one training with one seed; how much another seed would change was not measured."
        )
        return Answer(test["accuracy"], (low, high), "from the number of test images", found, sure)
    found += (
        f" with {seeds} seeds, it classifies {percent(mean)} of {test['images']:,} test images correctly on average."
    )
    interval = max(metrics["accuracy"]["low"], 0.0), min(metrics["accuracy"]["high"], 1.0)
    sure = (
        f"The trainings differ in their seed alone; by Student's t distribution their mean lies between "
        f"{percent(interval[0])} and {percent(interval[1])} (95 %). The weights that go out are those of seed "
        f"{metrics['chosen']}, chosen by {_chosen_by(findings)}: {percent(test['accuracy'])}, which the number of "
        f"test images alone leaves open from {percent(low)} to {percent(high)}."
    )
    return Answer(mean, interval, f"over {seeds} seeds", found, sure)


def _configuration(findings: Findings) -> str:
    complete, trials = findings.status.count(SlotState.COMPLETE), len(findings.status.trials)
    if not findings.experiment.searched:
        alike = "nothing was searched" if trials == 1 else f"{trials} trials, which differ in their seed alone"
        return f"The given configuration ({alike})"
    if complete == 1:
        return f"The one complete trial of {trials}" if trials > 1 else "The only trial"
    counted = f"{complete} complete trials" if complete == trials else f"{complete} complete trials, {trials} in all,"
    return f"The best of {counted} by validation accuracy"


def _chosen_by(findings: Findings) -> str:
    validated = findings.metrics["seeds"][findings.metrics["chosen"]]["validationAccuracy"]
    return "being the first, as no validation images were left" if validated is None else "validation accuracy"
