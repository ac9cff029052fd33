"""The answer that the report begins with: what was tried, what was found, and how sure that is."""

from dataclasses import dataclass

from jobs.artifacts.documents import MetricsDocument
from jobs.experiment.experiment import Experiment
from jobs.queue.status import SweepStatus, ranking
from jobs.queue.tables import SlotState
from jobs.report.study.confirmation import close_to_best, confirmation
from jobs.report.study_results import StudyResults
from resnet_core.metrics import wilson_half_width
from resnet_core.shown_accuracy import percent, points

MOST_NAMES = 5  # of searched parameters that are named
ENDS = {
    SlotState.COMPLETE: "ran to the end",
    SlotState.STOPPED_EARLY: "stopped early, as others were ahead after as many epochs",
    SlotState.INFEASIBLE: "over the budget and never trained",
    SlotState.DIVERGED: "diverged",
    SlotState.FAILED: "failed",
    SlotState.CRASHED: "crashed",
    SlotState.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Answer:
    """`tried`, `found` and `sure` are a few sentences each, for people who know nothing of how sweeps work.

    The accuracy is that of the test images, the mean over the seeds.
    """

    accuracy: float
    intervals: dict[str, tuple[float, float]]  # by what each covers, in a few words
    tried: str
    found: str
    sure: str


def answer(results: StudyResults) -> Answer:
    metrics, test, seeds = results.metrics, results.metrics.test, len(results.metrics.seeds)
    tried = _tried(results.experiment, results.status)
    chosen = _choice(results.experiment, results.status)
    guessing, hopeful = _beside_guessing(metrics)
    accuracy = percent(test.accuracy, test.images)
    low, high = (percent(end, test.images) for end in test.accuracy_interval)
    epochs = results.experiment.final_train.epochs
    network = f"{_configuration(results)} gives a network of {metrics.parameters:,} parameters"
    found = f"{network} ({metrics.budget:,} allowed). Trained for {epochs} epoch{'s' if epochs > 1 else ''}"
    if seeds == 1:
        right = round(test.accuracy * test.images)
        found += f", it classifies {right:,} of {test.images:,} test images correctly: {accuracy}."
        sure = guessing + (
            f"From the number of test images alone, the true accuracy lies between {low} and {high} "
            "(95 %, Wilson). This is one training with one seed; how much another seed would change was not measured."
        )
        return Answer(
            test.accuracy, {"from the number of test images": metrics.interval}, tried, found, sure + chosen + hopeful
        )
    mean = metrics.accuracy.mean
    average = f"{percent(mean, test.images)} of {test.images:,} test images"
    found += f" with {seeds} seeds, it classifies {average} correctly on average."
    lowest, highest = (percent(end, test.images) for end in metrics.interval)
    sure = guessing + (
        f"The trainings differ in their seed alone; by Student's t distribution their mean lies between "
        f"{lowest} and {highest} (95 %). The network that is kept is that of seed {metrics.chosen}, "
        f"chosen by {_chosen_by(results)}: {accuracy}, which the number of "
        f"test images alone leaves open from {low} to {high}."
    )
    intervals = {
        f"over {seeds} seeds": metrics.interval,
        f"from the test images, seed {metrics.chosen}": test.accuracy_interval,
    }
    return Answer(mean, intervals, tried, found, sure + chosen + hopeful)


def _beside_guessing(metrics: MetricsDocument) -> tuple[str, str]:
    """What is to be said first, if the network may have learned nothing, and what is to be said last if not."""
    test = metrics.test
    guessed = max(map(sum, test.confusion)) / test.images
    said = f"naming the most frequent class every time would be right for {percent(guessed, test.images)}"
    if min(metrics.interval[0], test.accuracy_interval[0]) <= guessed:
        return f"With {test.images:,} test images this cannot be told from guessing: {said}. ", ""
    return "", f" N{said[1:]}."


def _tried(experiment: Experiment, status: SweepStatus) -> str:
    count, epochs = len(status.trials), experiment.sweep.epochs
    length = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    if not experiment.searched:
        alike = "one training" if count == 1 else f"{count} trainings, which differ in their seed alone"
        return f"Nothing was searched: {alike} of {length} with the values of the experiment."
    names = list(experiment.searched)
    more = len(names) - MOST_NAMES
    named = ", ".join(names if more <= 1 else [*names[:MOST_NAMES], f"{more} more"])
    images = f"{status.validation_images:,} " if status.validation_images else ""
    what = "One configuration was" if count == 1 else f"{count} configurations were"
    said = (
        f"{what} tried, each with values of its own for {named}. Each was a training of {length}, judged by "
        f"{images}validation images that it did not train on"
    )
    ends = [f"{status.count(state)} {words}" for state, words in ENDS.items() if status.count(state)]
    said += f": {'; '.join(ends)}." if count > 1 else "."
    if status.confirmed:
        again = len(status.confirmed)
        said += (
            f" The {again} best{_ties(status)} were trained again, since a first place may be luck."
            if again > 1
            else ""
        )
    return said


def _ties(status: SweepStatus) -> str:
    """Whether others had the value of the last that was trained again."""
    ranked, last = ranking(status.trials), max(one.rank for one in status.confirmed)
    value = ranked[last - 1].accuracy
    after = sum(trial.accuracy == value for trial in ranked[last:])
    return f" ({after} more had the value of the last of them, and began later)" if after else ""


def _choice(experiment: Experiment, status: SweepStatus) -> str:
    """How sure it is that the best configuration was chosen."""
    confirmed, ranked, images = confirmation(status), ranking(status.trials), status.validation_images
    if confirmed is not None:
        return f" {confirmed.luck}"
    if not experiment.searched or len(ranked) < 2 or images is None:
        return ""
    best, second = ((trial.accuracy or 0.0) for trial in ranked[:2])
    if best == second:
        same = sum(trial.accuracy == best for trial in ranked)
        return f" In the sweep {same} configurations had the same best value, and the earliest of them was taken."
    near, open_by = close_to_best(status), points(wilson_half_width(best, images), images)
    said = (
        f" In the sweep it was {points(best - second, images)} points ahead of the next; {images:,} validation images"
    )
    said += f" leave each value open by some {open_by} points"
    if not near:
        return f"{said}, and no other configuration came so near."
    others = "one other configuration is" if near == 1 else f"{near} other configurations are"
    return f"{said}, and {others} within that: another draw of these images might have chosen differently."


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
