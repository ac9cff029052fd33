"""Which trials the page of a large study shows: no figure tells ten thousand apart, and nobody reads as many rows."""

from collections.abc import Iterable

import numpy as np

from jobs.queue.status import TrialStatus
from jobs.queue.tables import SlotState
from jobs.report.study.trial_table import SIZES
from jobs.report.study_results import StudyResults

BEST, SAMPLED = 500, 500


def shown_trials(results: StudyResults) -> list[TrialStatus]:
    """All trials of a study of up to a thousand, in the order of their slots.

    Of more the best, those that were the best when they began or that no smaller one beats, and others at random, the
    same each time.
    """
    trials = results.status.trials
    if len(trials) <= BEST + SAMPLED:
        return trials
    complete = [trial for trial in trials if trial.state is SlotState.COMPLETE]
    ranked = sorted(complete, key=_rank)
    kept = {results.model.trial.number, *(trial.number for trial in ranked[:BEST])}
    kept |= _records(sorted(complete, key=lambda trial: trial.number or 0))
    attributes = {trial.number: trial.user_attrs for trial in results.trials}
    for size in SIZES:
        known = [trial for trial in complete if size in attributes[trial.number or 0]]
        kept |= _records(sorted(known, key=lambda trial: (attributes[trial.number or 0][size], *_rank(trial))))
    others = [trial.slot for trial in trials if trial.number not in kept]
    drawn = set(np.random.default_rng(results.experiment.seed).choice(others, min(SAMPLED, len(others)), replace=False))
    return [trial for trial in trials if trial.number in kept or trial.slot in drawn]


def _rank(trial: TrialStatus) -> tuple[float, int]:
    return -(trial.accuracy or 0.0), trial.number or 0


def _records(trials: Iterable[TrialStatus]) -> set[int | None]:
    """The numbers of those that are better than all before them."""
    found: set[int | None] = set()
    best = -1.0
    for trial in trials:
        if (trial.accuracy or 0.0) > best:
            best = trial.accuracy or 0.0
            found.add(trial.number)
    return found
