"""How much each parameter mattered for the accuracy of the trials."""

from dataclasses import dataclass

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True)
class Importances:
    """Shares by parameter, the most important first. `left_out` are the parameters that some complete trial lacks."""

    shares: dict[str, float]
    left_out: list[str]


def parameter_importances(trials: list[FrozenTrial], seed: int) -> Importances | None:
    """The importances; None unless two or more parameters and the accuracy differ between complete trials."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    searched = list(dict.fromkeys(name for trial in complete for name in trial.params))
    common = [name for name in searched if all(name in trial.params for trial in complete)]
    varied = [name for name in common if len({trial.params[name] for trial in complete}) > 1]
    accuracies = {trial.values[0] for trial in complete}
    if len(varied) < 2 or len(accuracies) < 2:
        return None
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=trial.values[0],
                params={name: trial.params[name] for name in varied},
                distributions={name: trial.distributions[name] for name in varied},
            )
            for trial in complete
        ]
    )
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), params=varied)
    return Importances(shares, [name for name in searched if name not in common])
