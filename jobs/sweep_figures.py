"""Optuna's own plots of the sweep, as matplotlib Figures."""

import warnings
from collections.abc import Callable

import matplotlib as mpl
import optuna
from matplotlib.figure import Figure
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

mpl.use("Agg")
CONTOUR_PARAMETERS = 3  # the most important ones: a grid of more is unreadable


def sweep_figures(study: optuna.Study, seed: int) -> dict[str, Figure]:
    """By name, those that the finished trials allow: an importance takes two values of two parameters."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen
    from optuna.visualization import matplotlib as plots  # noqa: PLC0415

    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    varied = [name for name in (complete[0].params if complete else {}) if len({t.params[name] for t in complete}) > 1]
    target = "validation accuracy"
    figures: dict[str, Figure] = {}

    def add(name: str, plot: Callable[[], object], width: float, height: float) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", UserWarning)  # matplotlib's, on axes with one value
            plot()
        figure = plt.gcf()
        figure.set_size_inches(width, height)
        for axes in figure.axes:
            for place in ("left", "center"):
                axes.set_title("", loc=place)
        figure.suptitle("")
        figures[name] = figure
        plt.close(figure)

    if complete:
        add("history", lambda: plots.plot_optimization_history(study, target_name=target), 7, 4)
    if len(varied) > 1 and len({trial.value for trial in complete}) > 1:
        evaluator = FanovaImportanceEvaluator(seed=seed)
        ranked = list(get_param_importances(study, evaluator=evaluator, params=varied))
        add(
            "importances",
            lambda: plots.plot_param_importances(study, evaluator=evaluator, params=varied, target_name=target),
            7,
            0.5 * len(varied) + 1.5,
        )
        chosen = ranked[:CONTOUR_PARAMETERS]
        side = 3.2 * len(chosen)
        add("contour", lambda: plots.plot_contour(study, params=chosen, target_name=target), side, side)
        add(
            "parallel-coordinates",
            lambda: plots.plot_parallel_coordinate(study, params=varied, target_name=target),
            1.4 * len(varied) + 3,
            5,
        )
    return figures
