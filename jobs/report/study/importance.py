"""How much each parameter mattered for the accuracy of the trials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

FEWEST_TRIALS = 10  # complete ones: what fewer say of two parameters or more is mostly chance
MOST_TRIALS = 500  # of more, so many are drawn: fANOVA takes 3 s for these, and 10 s for twice as many
RESAMPLES, MOST_RESAMPLED = 20, 100  # and trials in each of them


@dataclass(frozen=True)
class Importances:
    """Shares by parameter, the most important first, from so many trials of those that are complete.

    `intervals` hold 90 % of the shares over resamples of the trials (the bootstrap of Efron 1979). `left_out` are the
    parameters that some complete trial lacks.
    """

    shares: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    trials: int
    complete: int
    left_out: list[str]


def parameter_importances(trials: list[FrozenTrial], seed: int) -> Importances | None:
    """The importances; None unless two or more parameters and the accuracy differ between enough complete trials."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    searched = list(dict.fromkeys(name for trial in complete for name in trial.params))
    common = [name for name in searched if all(name in trial.params for trial in complete)]
    varied = [name for name in common if len({trial.params[name] for trial in complete}) > 1]
    accuracies = {trial.values[0] for trial in complete}
    if len(complete) < FEWEST_TRIALS or len(varied) < 2 or len(accuracies) < 2:
        return None
    generator = np.random.default_rng(seed)
    taken = complete
    if len(complete) > MOST_TRIALS:
        taken = [complete[index] for index in sorted(generator.choice(len(complete), MOST_TRIALS, replace=False))]
    shares = _shares(taken, varied, seed)
    again = {name: [share] for name, share in shares.items()}
    for _ in range(RESAMPLES):
        indices = generator.choice(len(taken), min(len(taken), MOST_RESAMPLED))
        drawn = [taken[index] for index in indices]
        if len({trial.values[0] for trial in drawn}) > 1:  # without a difference there is nothing to explain
            for name, share in _shares(drawn, varied, seed).items():
                again[name].append(share)
    low, high = ({name: float(np.percentile(each, q)) for name, each in again.items()} for q in (5, 95))
    intervals = {name: (low[name], high[name]) for name in shares}
    left_out = [name for name in searched if name not in common]
    return Importances(shares, intervals, len(taken), len(complete), left_out)


def _shares(trials: Sequence[FrozenTrial], names: list[str], seed: int) -> dict[str, float]:
    """How much of the variance of the accuracy each parameter explains (fANOVA, Hutter et al. 2014)."""
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=trial.values[0],
                params={name: trial.params[name] for name in names},
                distributions={name: trial.distributions[name] for name in names},
            )
            for trial in trials
        ]
    )
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), params=names)
