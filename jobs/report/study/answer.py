"""The answer that the report begins with: what was found, how good it is, how sure that is."""

from dataclasses import dataclass

from jobs.queue.tables import SlotState
from jobs.report.pages.template import percent
from jobs.report.study_results import StudyResults


@dataclass(frozen=True)
class Answer:
    """`found` and `sure` are sentences. The accuracy is that of the test images, the mean over the seeds."""

    accuracy: float
    interval: tuple[float, float]
    interval_of: str  # what the interval covers, in a few words
    found: str
    sure: str


def answer(results: StudyResults) -> Answer:
    metrics, test, seeds = results.metrics, results.metrics.test, len(results.metrics.seeds)
    low, high = map(percent, test.accuracy_interval)
    epochs = results.experiment.final_train.epochs
    network = f"{_configuration(results)} gives a network of {metrics.parameters:,} parameters"
    found = f"{network} ({metrics.budget:,} allowed). Trained for {epochs} epoch{'s' if epochs > 1 else ''}"
    if seeds == 1:
        right = round(test.accuracy * test.images)
        found += f", it classifies {right:,} of {test.images:,} test images correctly: {percent(test.accuracy)}."
        sure = (
            f"From the number of test images alone, the true accuracy lies between {low} and {high} "
            "(95 %, Wilson). This is one training with one seed; how much another seed would change was not measured."
        )
        return Answer(test.accuracy, metrics.interval, "from the number of test images", found, sure)
    mean = metrics.accuracy.mean
    found += f" with {seeds} seeds, it classifies {percent(mean)} of {test.images:,} test images correctly on average."
    lowest, highest = map(percent, metrics.interval)
    sure = (
        f"The trainings differ in their seed alone; by Student's t distribution their mean lies between "
        f"{lowest} and {highest} (95 %). The weights that go out are those of seed {metrics.chosen}, "
        f"chosen by {_chosen_by(results)}: {percent(test.accuracy)}, which the number of "
        f"test images alone leaves open from {low} to {high}."
    )
    return Answer(mean, metrics.interval, f"over {seeds} seeds", found, sure)


def _configuration(results: StudyResults) -> str:
    complete, trials = results.status.count(SlotState.COMPLETE), len(results.status.trials)
    if not results.experiment.searched:
        alike = "nothing was searched" if trials == 1 else f"{trials} trials, which differ in their seed alone"
        return f"The given configuration ({alike})"
    if complete == 1:
        return f"The one complete trial of {trials}" if trials > 1 else "The only trial"
    if results.status.winner is not None:
        again = len(results.status.confirmed)
        return f"The best by confirmation ({again} configurations of {complete} complete trials were trained again)"
    counted = f"{complete} complete trials" if complete == trials else f"{complete} complete trials, {trials} in all,"
    return f"The best of {counted} by validation accuracy"


def _chosen_by(results: StudyResults) -> str:
    validated = results.model.validation_accuracy
    return "being the first, as no validation images were left" if validated is None else "validation accuracy"
