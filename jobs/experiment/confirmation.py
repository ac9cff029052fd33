"""The confirmations of a sweep as an experiment of their own, whose study stands beside the sweep's."""

from jobs.experiment.experiment import Experiment
from resnet_core.seeds import derive_seed

CONFIRM = "confirm"


def confirmation_name(study: str) -> str:
    """The name of the study of a sweep's confirmations; no sweep's own, since a name that is given has no slash."""
    return f"{study}/{CONFIRM}"


def confirmation(experiment: Experiment) -> Experiment:
    """The experiment of a sweep's confirmations.

    They train as the sweep's trials do and for as long, each to its last epoch, with the parameters that are fixed in
    their slots. All their seeds are others than those of the trials.
    """
    sweep = experiment.sweep
    changed = {
        "sampler": sweep.sampler.model_copy(update={"name": "manual"}),
        "early_stopping": sweep.early_stopping.model_copy(update={"name": "none"}),
    }
    name = confirmation_name(experiment.study_name)
    return experiment.model_copy(
        update={
            "seed": derive_seed(experiment.seed, CONFIRM),
            "study": experiment.study.model_copy(update={"name": name}),
            "sweep": sweep.model_copy(update=changed),
        }
    )
